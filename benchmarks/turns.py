"""Measures child processes, by turns where they are compared."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.child import Child
from benchmarks.peers import PeerError

_PEER_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The length of a measurement.

    Attributes:
        seconds: that are timed.
        max_steps: fewer steps will do.
    """

    seconds: float
    max_steps: int

    @property
    def warm_up(self) -> float:
        """Seconds that are left alone before the first measurement of a process."""
        return min(5.0, self.seconds)

    def measure(self, child: Child, warm_up: float) -> dict[str, float]:
        """Lets a child train for a while, and asks what it did."""
        measured: dict[str, float] = child.ask(
            "measure", warm_up=warm_up, seconds=self.seconds, max_steps=self.max_steps
        )
        return measured

    def rates_by_turns(
        self, children: list[Child], unit: str, rounds: int
    ) -> list[float]:
        """Median rates a second, taken by turns: a disturbance then meets both."""
        rates: list[list[float]] = [[] for _ in children]
        for number in range(rounds):
            for child, own in zip(children, rates, strict=True):
                warm_up = 1.0 if number else self.warm_up
                measured = self.measure(child, min(warm_up, self.seconds))
                own.append(measured[unit] / measured["seconds"])
        return [statistics.median(own) for own in rates]

    def compare(self, ours: Child, command: list[str]) -> tuple[float, dict[str, Any]]:
        """Trains beside a peer on the same pairs; both stay loaded.

        Args:
            ours: a process of this project.
            command: the peer's process, but for the flags that name its task.

        Returns:
            our pairs a second over the peer's, and what the peer says of itself.

        Raises:
            ChildError: if the peer fails.
            PeerError: if it has another task.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sequences.npz"
            facts = ours.ask("write_sequences", path=str(path))
            command = [*command, "--sequences", str(path)]
            for name in ("num_items", "batch_size"):
                command += [f"--{name}", str(facts[name])]
            with Child(command) as peer:
                peer_facts: dict[str, Any] = peer.ask("facts")
                check_same_task(facts, peer_facts)
                rates = self.rates_by_turns([ours, peer], "pairs", _PEER_ROUNDS)
        return round(rates[0] / rates[1], 2), peer_facts


def check_same_task(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Holds the peer to the same pairs and the same items.

    Raises:
        PeerError: naming what differs.
    """
    for name in ("num_pairs", "num_items"):
        if ours[name] != peer[name]:
            raise PeerError(
                f"the peer must train on the same `{name}`, {ours[name]}. "
                f"Received: {peer[name]}"
            )

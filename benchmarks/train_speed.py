"""`python -m benchmarks.train_speed`: how fast training is, and beside RecBole's.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import Child, ChildError
from benchmarks.peers import PeerError, recbole_python

MODELS = ("sasrec", "s4rec")
SHAPES = ("beauty", "million", "million_softmax", "tiny")
_DEFAULT_SHAPES = ("beauty", "million", "million_softmax")
_MORE_USERS = 4
_ROUNDS = 3
_SCALING_ROUNDS = 2
_UNLIMITED = 1_000_000_000


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed",
        allow_abbrev=False,
        description="Measures training of SASRec and S4Rec on this machine's CPU, and "
        "of RecBole's SASRec beside it. The last line of standard output is one JSON "
        "object; docs/benchmarks.md explains it. Without options it takes about 10 "
        "minutes on two cores and builds the peer's environment (5 GiB) once.",
    )
    add = parser.add_argument
    add("--only", choices=MODELS, action="append", help="this model alone; repeatable")
    add("--shape", choices=SHAPES, action="append", help="this shape alone; repeatable")
    add("--dataset", type=Path, help="dataset folder that stands for shape beauty")
    add("--peer", choices=("recbole", "none"), default="recbole")
    add("--seconds", type=float, default=8.0, help="of each measurement (8)")
    add("--steps", type=int, default=_UNLIMITED, help="at most, of each measurement")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the models; repeatable",
    )
    args = parser.parse_args(argv)
    if args.seconds <= 0 or args.steps < 1:
        parser.error(
            "--seconds must be positive and --steps at least 1. "
            f"Received: {args.seconds}, {args.steps}"
        )
    return args


class Benchmark:
    """The measurements of one run of the command.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.report: dict[str, Any] = {"machine": _machine()}

    def run(self) -> dict[str, Any]:
        """All that was asked for.

        Raises:
            ChildError: if a measurement fails.
            PeerError: if the peer's environment cannot be built.
        """
        models = self.args.only or MODELS
        shapes = self.args.shape or _DEFAULT_SHAPES
        beside = "sasrec" in models and "beauty" in shapes
        # Before anything is measured: what cannot be built should fail at once.
        build = beside and self.args.peer == "recbole"
        peer_python = recbole_python() if build else None
        for model in models:
            self.report[model] = {
                shape: self._measure_shape(model, shape) for shape in shapes
            }
        self.report.update(cost_per_user=None, vs_recbole=None, peer=None)
        if beside:
            with self._child("sasrec", "beauty") as ours:
                self._measure_scaling(ours)
                if peer_python:
                    self._compare(ours, peer_python)
        return self.report

    def _child(self, model: str, shape: str, times: int = 1) -> Child:
        command = [sys.executable, "-m", "benchmarks.training_worker"]
        command += ["--model", model, "--shape", shape, "--times", str(times)]
        if self.args.dataset and shape == "beauty":
            command += ["--dataset", str(self.args.dataset)]
        for setting in self.args.set:
            command += ["--set", setting]
        return Child(command)

    def _measure(self, child: Child, warm_up: float) -> dict[str, float]:
        measured: dict[str, float] = child.ask(
            "measure",
            warm_up=warm_up,
            seconds=self.args.seconds,
            max_steps=self.args.steps,
        )
        return measured

    def _measure_shape(self, model: str, shape: str) -> dict[str, Any]:
        _say(f"measuring {model}, {shape}")
        with self._child(model, shape) as child:
            ceiling = child.ask("ceiling")
            measured = self._measure(child, self._warm_up())
            memory = child.ask("peak_memory_gib")
            cost = child.ask("cost")
            breakdown = child.ask("breakdown", seconds=min(2, self.args.seconds / 5))
            ceiling = max(ceiling, child.ask("ceiling"))
        entry = figures(measured, cost, breakdown, ceiling)
        entry["peak_memory_gib"] = round(memory, 3)
        # A run that is stopped has then shown what it had.
        _say(f"{model}, {shape}: {json.dumps(entry)}")
        return entry

    def _warm_up(self) -> float:
        return min(5.0, self.args.seconds)

    def _measure_scaling(self, ours: Child) -> None:
        """Whether a user costs the same among more users: both sizes by turns."""
        _say(f"measuring sasrec, beauty, {_MORE_USERS} times the users")
        with self._child("sasrec", "beauty", _MORE_USERS) as more:
            rates = self._by_turns([ours, more], "rows", _SCALING_ROUNDS)
        self.report["cost_per_user"] = {
            "times_the_users": _MORE_USERS,
            "cost_ratio": round(rates[0] / rates[1], 3),
        }

    def _compare(self, ours: Child, peer_python: Path) -> None:
        _say("measuring sasrec, beauty, beside RecBole")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sequences.npz"
            facts = ours.ask("write_sequences", path=str(path))
            command = [str(peer_python), "-m", "benchmarks.recbole_worker"]
            command += ["--sequences", str(path)]
            command += ["--num_items", str(facts["num_items"])]
            command += ["--batch_size", str(facts["batch_size"])]
            with Child(command) as peer:
                peer_facts = peer.ask("facts")
                check_same_task(facts, peer_facts)
                rates = self._by_turns([ours, peer], "pairs", _ROUNDS)
        self.report["vs_recbole"] = round(rates[0] / rates[1], 2)
        self.report["peer"] = peer_facts["peer"]
        self.report["peer_task"] = peer_facts

    def _by_turns(self, children: list[Child], unit: str, rounds: int) -> list[float]:
        """Median rates a second, taken by turns: a disturbance then meets both."""
        rates: list[list[float]] = [[] for _ in children]
        for number in range(rounds):
            for child, own in zip(children, rates, strict=True):
                warm_up = 1.0 if number else self._warm_up()
                measured = self._measure(child, min(warm_up, self.args.seconds))
                own.append(measured[unit] / measured["seconds"])
        return [statistics.median(own) for own in rates]


def figures(
    measured: dict[str, float],
    cost: dict[str, float],
    breakdown: dict[str, float],
    ceiling: float,
) -> dict[str, Any]:
    """What is reported of a model at a shape.

    Args:
        measured: rows, pairs and seconds, and the median step.
        cost: of a row: tokens, flops and loss_flops.
        breakdown: milliseconds a batch of each part.
        ceiling: operations a second of a large matrix product.
    """
    rate = measured["rows"] / measured["seconds"]
    batch_size = measured["rows"] / measured["steps"]
    step_ms = 1e3 * measured["seconds"] / measured["steps"]
    loss_rate = cost["loss_flops"] * batch_size / (1e-3 * breakdown["logits_and_loss"])
    parts = {name: round(value, 3) for name, value in breakdown.items()}
    return {
        "users_per_second": round(rate, 1),
        "pairs_per_second": round(measured["pairs"] / measured["seconds"], 1),
        "tokens_per_second": round(rate * cost["tokens"], 1),
        "peak_ratio": round(rate * cost["flops"] / ceiling, 4),
        "loss_peak_ratio": round(loss_rate / ceiling, 4),
        "ceiling_gflops": round(ceiling / 1e9, 1),
        "flops_per_user": round(cost["flops"]),
        "batch_size": round(batch_size),
        "steps": round(measured["steps"]),
        "breakdown_ms": parts
        | {
            "step": round(step_ms, 3),
            "median_step": round(measured["median_step_ms"], 3),
        },
    }


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


def _machine() -> dict[str, Any]:
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        names = [line.split(":")[1] for line in lines if line.startswith("model name")]
        model = names[0].strip() if names else model
    return {"processor": model, "cores": len(os.sched_getaffinity(0))}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def table(report: dict[str, Any]) -> str:
    """The figures for reading."""
    names = (
        *("users_per_second", "tokens_per_second", "peak_ratio"),
        *("loss_peak_ratio", "peak_memory_gib"),
    )
    lines = [" ".join(f"{name:>18}" for name in ("", *names))]
    for model in MODELS:
        for shape, entry in report.get(model, {}).items():
            cells = [f"{entry[name]:>18}" for name in names]
            lines.append(" ".join([f"{model} {shape}".rjust(18)[:22], *cells]))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        report = Benchmark(args).run()
    except (ChildError, PeerError) as error:
        print(f"train_speed: {error}", file=sys.stderr)
        return 1
    print(table(report))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.train_speed`: how fast training is, and beside RecBole's.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import Child, ChildError
from benchmarks.flags import MODELS, SHAPES, add_bounds, parse_bounded, setting_flags
from benchmarks.peers import PeerError, recbole_python
from benchmarks.reporting import (
    machine,
    markdown_table,
    say,
    speeds,
    step_times,
    table,
)
from benchmarks.turns import Bounds

_DEFAULT_SHAPES = ("beauty", "million", "million_softmax")
_TABLE = (
    *("users_per_second", "tokens_per_second", "peak_ratio"),
    *("loss_peak_ratio", "peak_memory_gib"),
)
_MORE_USERS = 4
_SCALING_ROUNDS = 2


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed",
        allow_abbrev=False,
        description="Measures training of SASRec and S4Rec on this machine's CPU, and "
        "of RecBole's SASRec beside it. The last line of standard output is one JSON "
        "object; docs/benchmarks.md explains it. Without options it takes about 15 "
        "minutes on two cores and builds the peer's environment (5 GiB) once.",
    )
    add = parser.add_argument
    add("--shape", choices=SHAPES, action="append", help="this shape alone; repeatable")
    add("--dataset", type=Path, help="dataset folder that stands for shape beauty")
    add("--peer", choices=("recbole", "none"), default="recbole")
    add("--write", type=Path, metavar="FILE.md", help="write the tables there too")
    add_bounds(parser)
    return parse_bounded(parser, argv)


class Benchmark:
    """The measurements of one run of the command.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.bounds = Bounds(args.seconds, args.steps)
        self.report: dict[str, Any] = {"machine": machine()}

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
        return Child(command + setting_flags(self.args.set))

    def _measure_shape(self, model: str, shape: str) -> dict[str, Any]:
        say(f"measuring {model}, {shape}")
        with self._child(model, shape) as child:
            ceiling = child.ask("ceiling")
            measured = self.bounds.measure(child, self.bounds.warm_up)
            memory = child.ask("peak_memory_gib")
            cost = child.ask("cost")
            breakdown = child.ask("breakdown", seconds=min(2, self.args.seconds / 5))
            ceiling = max(ceiling, child.ask("ceiling"))
        entry = figures(measured, cost, breakdown, ceiling)
        entry["peak_memory_gib"] = round(memory, 3)
        # A run that is stopped has then shown what it had.
        say(f"{model}, {shape}: {json.dumps(entry)}")
        return entry

    def _measure_scaling(self, ours: Child) -> None:
        """Whether a user costs the same among more users: both sizes by turns."""
        say(f"measuring sasrec, beauty, {_MORE_USERS} times the users")
        with self._child("sasrec", "beauty", _MORE_USERS) as more:
            rates = self.bounds.rates_by_turns([ours, more], "rows", _SCALING_ROUNDS)
        self.report["cost_per_user"] = {
            "times_the_users": _MORE_USERS,
            "cost_ratio": round(rates[0] / rates[1], 3),
        }

    def _compare(self, ours: Child, peer_python: Path) -> None:
        say("measuring sasrec, beauty, beside RecBole")
        command = [str(peer_python), "-m", "benchmarks.recbole_worker"]
        ratio, facts = self.bounds.compare(ours, command)
        self.report["vs_recbole"] = ratio
        self.report["peer"] = facts["peer"]
        self.report["peer_task"] = facts


def figures(
    measured: dict[str, float],
    cost: dict[str, float],
    breakdown: dict[str, float],
    ceiling: float,
) -> dict[str, Any]:
    """The report of a model at a shape.

    Args:
        measured: rows, pairs and seconds, and the median step.
        cost: of a row: tokens, flops and loss_flops.
        breakdown: milliseconds a batch of each part.
        ceiling: operations a second of a large matrix product.
    """
    entry = speeds(measured, cost, ceiling)
    loss_flops = cost["loss_flops"] * entry["batch_size"]
    loss_rate = loss_flops / (1e-3 * breakdown["logits_and_loss"])
    parts = {name: round(value, 3) for name, value in breakdown.items()}
    return entry | {
        "loss_peak_ratio": round(loss_rate / ceiling, 4),
        "breakdown_ms": parts | step_times(measured),
    }


def page(report: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    speed, parts = [], []
    for model in MODELS:
        for shape, entry in report.get(model, {}).items():
            title = {"model": model, "shape": shape}
            speed.append({**title, **entry})
            parts.append({**title, **entry["breakdown_ms"]})
    names = (*_TABLE, "ceiling_gflops")
    ratios = {name: report[name] for name in ("vs_recbole", "peer")}
    ratios |= report["cost_per_user"] or {}
    computer = report["machine"]
    return "\n\n".join(
        (
            "# Speed of training",
            f"`python -m benchmarks.train_speed`, {datetime.date.today()}, "
            f"{computer['processor']}, {computer['cores']} cores. What the columns "
            "are: [benchmarks.md](../benchmarks.md#speed-of-training).",
            markdown_table(speed, ("model", "shape", *names)),
            "Milliseconds a batch of each part by itself, and of a whole step:",
            markdown_table(parts, tuple(parts[0])),
            markdown_table([ratios], tuple(ratios)) + "\n",
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        report = Benchmark(args).run()
    except (ChildError, PeerError) as error:
        print(f"train_speed: {error}", file=sys.stderr)
        return 1
    rows = {
        f"{model} {shape}": entry
        for model in MODELS
        for shape, entry in report.get(model, {}).items()
    }
    print(table(rows, _TABLE))
    if args.write:
        args.write.write_text(page(report), "utf-8")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())

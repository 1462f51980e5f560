"""`python -m benchmarks.train_speed_jax`: training on JAX, and beside PyTorch's.

What is measured and what every key means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import Child, ChildError
from benchmarks.flags import MODELS, SHAPES, add_bounds, parse_bounded, setting_flags
from benchmarks.peers import PEERS, PeerError, choose_peer
from benchmarks.reporting import machine, say, speeds, step_times, table
from benchmarks.turns import Bounds
from s4rec_tf.train_arrays import check_backend

_SPEEDS = (
    *("users_per_second", "tokens_per_second", "peak_ratio"),
    *("epoch_seconds", "compile_seconds", "device_memory_gib"),
)
_CEILING_SECONDS = 1.5
_TO_BEST = ("best_value", "best_epoch", "seconds_to_best", "total_seconds")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed_jax",
        allow_abbrev=False,
        description="Measures training of SASRec and S4Rec on JAX, on the first GPU "
        "that it finds or else the CPU, and of a SASRec in PyTorch beside it; or, "
        "with --to_best, the time that a whole training takes. Needs no TensorFlow. "
        "The last line of standard output is one JSON object; docs/benchmarks.md "
        "explains it.",
    )
    add = parser.add_argument
    add("--arrays", type=Path, help=".npz file of a dataset; else data are generated")
    add("--shape", choices=SHAPES, default="beauty", help="of what is generated")
    add("--peer", choices=("auto", "none", *PEERS), default="auto")
    add("--peer_python", default=sys.executable, help="Python that has the peer")
    add("--peer_compile", action="store_true", help="peer torch by torch.compile")
    add("--to_best", action="store_true", help="train each --config to its end")
    add("--config", action="append", help="what --to_best trains; repeatable")
    add_bounds(parser)
    args = parse_bounded(parser, argv)
    if args.arrays and not args.arrays.is_file():
        parser.error(f"--arrays must be a file. Received: {args.arrays}")
    if args.to_best != bool(args.config) or (args.to_best and not args.arrays):
        parser.error(
            "--to_best takes --config and --arrays, and --config is for it alone. "
            f"Received: --config {args.config}, --arrays {args.arrays}"
        )
    return args


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
            PeerError: if the peer is not there or has another task.
        """
        if self.args.to_best:
            return self._time_to_best()
        models = self.args.only or MODELS
        peer = None
        # At a million items ours samples, which the peers do not.
        beside = "sasrec" in models and self.args.shape != "million"
        if beside and self.args.peer != "none":
            peer = choose_peer(self.args.peer, self.args.peer_python)
        self.report.update(vs_pytorch=None, peer=None)
        # SASRec last: a peer that fails then costs no figures of ours.
        for model in sorted(models, key=lambda model: model == "sasrec"):
            say(f"measuring {model}")
            with self._child("jax_worker", self._model_flags(model)) as ours:
                self._note_device(facts := ours.ask("facts"))
                self.report[model] = self._measure(ours)
                # A run that is stopped has then shown what it had.
                say(f"{model}: {json.dumps(self.report[model])}")
                if peer and model == "sasrec":
                    self._compare(ours, peer, facts["platform"])
        return self.report

    def _model_flags(self, model: str) -> list[str]:
        return ["--model", model, "--shape", self.args.shape]

    def _child(self, worker: str, flags: list[str]) -> Child:
        command = [sys.executable, "-m", f"benchmarks.{worker}", *flags]
        if self.args.arrays:
            command += ["--arrays", str(self.args.arrays)]
        # A peer on the same device needs memory too.
        preallocate = os.environ.get(_PREALLOCATE, "false")
        return Child(
            command + setting_flags(self.args.set), {_PREALLOCATE: preallocate}
        )

    def _note_device(self, facts: dict[str, Any]) -> None:
        for name in ("device", "versions"):
            self.report[name] = facts[name]

    def _measure(self, ours: Child) -> dict[str, Any]:
        measured = self.bounds.measure(ours, self.bounds.warm_up)
        epoch_seconds = ours.ask("epoch_seconds", max_steps=self.args.steps)
        memory = ours.ask("peak_memory_gib")
        compile_seconds = ours.ask("compile_seconds")
        ceiling = ours.ask("ceiling", seconds=min(_CEILING_SECONDS, self.args.seconds))
        entry = speeds(measured, ours.ask("cost"), ceiling)
        return entry | {
            "step_ms": step_times(measured),
            "epoch_seconds": _rounded(epoch_seconds),
            "compile_seconds": _rounded(compile_seconds),
            "device_memory_gib": _rounded(memory),
        }

    def _compare(self, ours: Child, peer: str, platform: str) -> None:
        say(f"measuring sasrec beside {peer}")
        command = [self.args.peer_python, "-m", f"benchmarks.{peer}_worker"]
        if platform != "cpu":
            command += ["--use_gpu"]
        if self.args.peer_compile and peer == "torch":
            command += ["--compile"]
        ratio, facts = self.bounds.compare(ours, command)
        self.report.update(vs_pytorch=ratio, peer=facts["peer"], peer_task=facts)

    def _time_to_best(self) -> dict[str, Any]:
        self.report["to_best"] = {}
        for config in self.args.config:
            say(f"training {config}")
            began = time.perf_counter()
            with self._child("to_best_worker", ["--config", config]) as child:
                entry = child.ask("train")
            entry["command_seconds"] = _rounded(time.perf_counter() - began)
            self._note_device(entry.pop("facts"))
            self.report["to_best"][config] = entry
            say(f"{config}: {json.dumps(entry)}")
        return self.report


_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def readable(report: dict[str, Any]) -> str:
    """The figures for reading."""
    lines = [f"{report['device']}; {report['versions']}"]
    if "to_best" in report:
        return "\n".join([*lines, table(report["to_best"], _TO_BEST)])
    models = {model: report[model] for model in MODELS if model in report}
    lines.append(table(models, _SPEEDS))
    if report["peer"]:
        lines.append(f"{report['vs_pytorch']} times the pairs of {report['peer']}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    if problem := check_backend():
        print(f"train_speed_jax: {problem}", file=sys.stderr)
        return 2
    try:
        report = Benchmark(args).run()
    except (ChildError, PeerError) as error:
        print(f"train_speed_jax: {error}", file=sys.stderr)
        return 1
    print(readable(report))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())

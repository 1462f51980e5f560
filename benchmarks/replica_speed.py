"""`python -m benchmarks.replica_speed`: a training step over logical devices.

All devices are the cores of this machine, so nothing can become faster. What shows is
what splitting a batch, and adding up gradients, costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.child import Child
from benchmarks.reporting import machine, markdown_table, say


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replica_speed",
        allow_abbrev=False,
        description="Measures a step of SASRec at the shape `beauty`, batches of 256, "
        "by one device and over replicas on logical CPUs.",
    )
    add = parser.add_argument
    add("--devices", type=int, nargs="+", default=[1, 2, 4], help="(1 2 4)")
    add("--seconds", type=float, default=8.0, help="of each measurement (8)")
    return parser.parse_args(argv)


def measure(num_devices: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step: the median, and of all cores together the mean."""
    say(f"{num_devices} devices")
    command = [sys.executable, "-m", "benchmarks.training_worker", "--model", "sasrec"]
    command += ["--shape", "beauty", "--devices", str(num_devices)]
    with Child(command) as child:
        found = child.ask("measure", warm_up=5.0, seconds=seconds, max_steps=10**9)
    times = {"step_ms": found["median_step_ms"], "cpu_ms": found["cpu_step_ms"]}
    return {"devices": num_devices, **{name: round(t, 1) for name, t in times.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    rows = [measure(count, args.seconds) for count in args.devices]
    print(markdown_table(rows, tuple(rows[0])))
    print(json.dumps({"machine": machine(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

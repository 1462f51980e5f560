"""`python -m pipelines.simulate_days`: does a daily update keep up with a rebuild?

Synthetic days go through `pipelines.run_day`, and all their logs together through a
dataset and a training from scratch; both models are measured on the same targets.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from s4rec_tf.exit_codes import ExitCode

TRAIN = "--model sasrec --set dim=32 num_layers=1 max_length=20 epochs=10"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.simulate_days",
        description="Runs synthetic days with drifting taste, items that come and go "
        "and users below the core, each beside a rebuild from scratch. Writes "
        "OUTPUT/days.jsonl, and a page with plots at PAGE.html and PAGE.md. If "
        "interrupted, rerun the command; it resumes.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("out/days"), help="(%(default)s)")
    add("--page", type=Path, help="default: OUTPUT/page")
    add("--days", type=int, default=30, help="after the first (%(default)s)")
    add("--users_a_day", type=int, default=60, help="new users (%(default)s)")
    add("--seed", type=int, default=7, help="of the logs (%(default)s)")
    add("--train", type=shlex.split, default=shlex.split(TRAIN), metavar="FLAGS")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from pipelines.fork_server import ForkServer
    from pipelines.processes import exit_on_signals
    from pipelines.run_day.folders import Base
    from pipelines.run_day.lock import locked
    from pipelines.simulate_days import days, page
    from pipelines.synthetic_days import DaysSettings, write_days

    exit_on_signals()
    sizes = {"days": args.days, "users_a_day": args.users_a_day, "seed": args.seed}
    logs = write_days(args.output / "logs", DaysSettings(**sizes))
    base = Base((args.output / "base").resolve(), "simulated")
    try:
        with locked(base.root), ForkServer() as server:
            simulation = days.Simulation(base, tuple(args.train), server.run_logged)
            rows = simulation.run([log.resolve() for log in logs])
    except (ValueError, OSError) as error:
        print(f"simulate_days: {error}", file=sys.stderr)
        return ExitCode.FAILED
    page.write(args.page or args.output / "page", rows, vars(args))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())

"""`python -m pipelines.run_day`: new logs to a version in service, without hands.

Every step is one of the project's own commands, in a process of its own. Run again, the
command skips what is done and resumes what was interrupted.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipelines.run_day.settings import OWN_FLAGS, STEPS, Settings
from s4rec_tf.exit_codes import ExitCode

_COMMANDS = ("run", "rollback", "status")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The checked command line; `settings` holds what a day is made by."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run_day",
        description="run (default): takes logs that no version in service was made of "
        "through all steps, from the dataset to a new version in BASE/serving/NAME, "
        "which servers watch. rollback: withdraws the newest version. status: prints "
        "days and versions.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("command", nargs="?", choices=_COMMANDS, default="run")
    add("--base", type=Path, required=True, metavar="DIR", help="holds all days")
    add("--name", default="s4rec", help="of the served model (%(default)s)")
    add(
        "--logs",
        nargs="+",
        default=[],
        metavar="GLOB",
        help="earlier days' may stay in",
    )
    for stage in OWN_FLAGS:
        what = f"further flags of the {stage} command, as --{stage}='--flag value'"
        add(f"--{stage}", type=shlex.split, default=[], metavar="FLAGS", help=what)
    add(
        *("--day",),
        type=date.fromisoformat,
        metavar="DATE",
        help="split by time: the actions from this day on are the test, those of the "
        "day before validation; default: each user's last two actions",
    )
    add(
        "--allow_drift",
        action="store_true",
        help="report drift, and let the day in",
    )
    add("--max_drop", type=float, default=0.05, help="share that a metric may fall")
    add("--max_slice_drop", type=float, default=0.1, help="likewise, in a slice")
    add("--min_users", type=int, default=100, help="of a slice that is judged")
    add("--keep", type=int, default=3, help="versions that stay (%(default)s)")
    add("--until", choices=STEPS, default=STEPS[-1], help="last step (%(default)s)")
    add(
        "--take_left_out",
        action="store_true",
        help="logs of refused days and of withdrawn versions count as new",
    )
    add("--json", action="store_true", help="print the outcome as one JSON object")
    args = parser.parse_args(argv)
    _check(parser, args)
    names = Settings.__dataclass_fields__
    given = {name: getattr(args, name) for name in names}
    lists = {stage: tuple(given[stage]) for stage in OWN_FLAGS}
    args.settings = Settings(**{**given, **lists})
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.command == "run" and not args.logs:
        parser.error("the following arguments are required: --logs")
    if args.keep < 2:
        parser.error(f"--keep must be at least 2. Received: {args.keep}")
    for stage, own in OWN_FLAGS.items():
        taken = [word for word in getattr(args, stage) if word.split("=")[0] in own]
        if taken:
            parser.error(f"--{stage} must leave {taken[0]} to this command")


def _found_logs(patterns: Sequence[str]) -> list[Path]:
    """The files that the patterns name.

    Raises:
        ValueError: naming a pattern that names no file.
    """
    found = []
    for pattern in patterns:
        names = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
        if not names:
            raise ValueError(f"--logs names no file. Received: {pattern!r}")
        found += [Path(name) for name in names]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from pipelines.processes import exit_on_signals
    from pipelines.run_day import driver, runner
    from pipelines.run_day.folders import Base
    from pipelines.run_day.lock import locked

    exit_on_signals()
    base = Base(args.base.resolve(), args.name)
    try:
        if args.command == "status":
            print(driver.status(base))
            return ExitCode.OK
        with locked(base.root):
            if args.command == "rollback":
                found = driver.rollback(base)
            else:
                logs = _found_logs(args.logs)
                take = args.take_left_out
                found = driver.run(
                    base, args.settings, logs, take, runner.run_module, _report
                )
    except (ValueError, OSError) as error:
        print(f"run_day: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("run_day: interrupted; rerun the command to resume", file=sys.stderr)
        return ExitCode.INTERRUPTED
    print(json.dumps(found) if args.json else found["text"])
    return ExitCode.OK


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m pipelines.experiments`: works through a queue into the ledger."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from pipelines.experiments.ledger import DEFAULT_LEDGER
from pipelines.experiments.queue_files import QUEUE_FOLDER
from s4rec_tf.exit_codes import ExitCode


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.experiments",
        description="Trains and evaluates every run of a queue, and appends each that "
        "finishes to the ledger. It may be stopped at any moment, kill -9 included; "
        "rerun the command to resume. Runs that the ledger has are skipped.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    shipped = ", ".join(sorted(path.stem for path in QUEUE_FOLDER.glob("*.yaml")))
    add("queue", nargs="?", help=f"YAML file, or a shipped queue: {shipped}")
    add("--data", type=Path, default=Path("out/data"), help="datasets (out/data)")
    add("--work", type=Path, default=Path("out/runs"), help="run folders (out/runs)")
    add("--ledger", type=Path, default=DEFAULT_LEDGER, help=f"({DEFAULT_LEDGER})")
    add("--minutes", type=float, help="stop after so many minutes (default: never)")
    add(
        "--backend",
        choices=("auto", "tensorflow", "jax"),
        default="auto",
        help="tensorflow: on dataset folders DATA/NAME; jax: on DATA/NAME.npz; auto: "
        "tensorflow where it is installed",
    )
    add(
        "--prepare",
        type=Path,
        metavar="LOGS_DIR",
        help="first make the dataset folders that are missing from the logs there",
    )
    add(
        "--collect",
        type=Path,
        metavar="DIR",
        help="instead of a queue: take the finished runs and ranks that "
        "pipelines/gpu_run.sh left there into the ledger",
    )
    args = parser.parse_args(argv)
    if (args.queue is None) == (args.collect is None):
        parser.error("a queue or --collect must be given, and not both")
    if args.minutes is not None and not args.minutes > 0:
        parser.error(f"--minutes must be positive. Received: {args.minutes}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    limit = float("inf") if args.minutes is None else 60 * args.minutes
    deadline = time.monotonic() + limit
    try:
        return _collect(args) if args.collect else _work(args, deadline)
    except (ValueError, OSError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("interrupted; rerun the command to resume", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _collect(args: argparse.Namespace) -> int:
    from pipelines.experiments import ledger

    taken, known = ledger.collect(
        args.collect / ledger.DEFAULT_LEDGER.name, args.ledger
    )
    print(f"{args.ledger}: {taken} runs taken, {known} were there")
    return ExitCode.OK


def _work(args: argparse.Namespace, deadline: float) -> int:
    from pipelines.experiments import public_logs, queue_files, training_backends
    from pipelines.experiments.runner import Runner, say

    backend = training_backends.begin(args.backend)
    shipped = QUEUE_FOLDER / f"{args.queue}.yaml"
    path = shipped if shipped.is_file() else Path(args.queue)
    try:
        runs = queue_files.read_queue(path)
    except queue_files.QueueError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return ExitCode.USAGE
    runner = Runner(backend, args.data, args.work, args.ledger, deadline)
    if args.prepare:
        names = dict.fromkeys(run.dataset for run in runs)
        public_logs.prepare(names, args.data, args.prepare, deadline)
    outcomes = runner.run_all(runs)
    say(", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
    return 1 if outcomes["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m pipelines.demo`: raw logs to recommendations over gRPC, in one command.

Every stage is one of the project's own commands, in a process of its own and printed so
that it can be typed. Without `--logs` the chain makes a synthetic log first. Run again
with the same inputs, it skips what is done; training resumes.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import time
from pathlib import Path

from pipelines.demo.chain import Chain, StageError
from pipelines.demo.commands import DemoCommands
from pipelines.demo.folders import Folders
from pipelines.demo.tables import metrics_table, recommendations
from pipelines.fork_server import ForkServer
from pipelines.processes import exit_on_signals
from s4rec_tf.exit_codes import ExitCode

SYNTHETIC_SETTINGS = ("epochs=4", "max_length=20")
"""Settings of training on the synthetic log, chosen so that the demo stays short."""
SYNTHETIC_SIZE = {"users": 4000, "items": 1200, "intents": 24}
SHORT_HISTORIES = {"max_length": 20, "tail_exponent": 5.0, "successor_rate": 0.35}
"""Of the synthetic log: six actions a user on average, and no easy next item."""


def main(argv: list[str] | None = None) -> None:
    """Runs the chain from the command line."""
    args = parse_args(argv)
    exit_on_signals()
    try:
        run(args)
    except (StageError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
    except KeyboardInterrupt:
        print("\ninterrupted; rerun the command to resume", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo",
        description="Run the whole chain, from raw logs to recommendations over gRPC.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--logs", nargs="+", metavar="GLOB", help="your logs (default: synthetic ones)")
    add("--format", default="auto", help="their format, see beam_jobs")
    add("--columns", metavar="user=...,item=...,time=...", help="with --format csv")
    add("--output", type=Path, default=Path("demo_output"), help="(demo_output)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="training settings")
    add("--k", type=int, default=10, help="number of recommendations (10)")
    add("--seed", type=int, default=7, help="of training and the synthetic log (7)")
    for name, default in SYNTHETIC_SIZE.items():
        add(f"--{name}", type=int, help=f"{name} of the synthetic log ({default})")
    args = parser.parse_args(argv)
    if args.k < 1:
        parser.error(f"--k must be at least 1. Received: {args.k}")
    for name, default in SYNTHETIC_SIZE.items():
        if args.logs and getattr(args, name) is not None:
            parser.error(f"--{name} is of the synthetic log; --logs was given too")
        if getattr(args, name) is None:
            setattr(args, name, default)
    if args.logs:
        args.logs = _found_logs(args.logs, parser)
    return args


def _found_logs(patterns: list[str], parser: argparse.ArgumentParser) -> list[Path]:
    """The files that the patterns name; a pattern that names none is an error."""
    found = []
    for pattern in patterns:
        names = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
        if not names:
            parser.error(f"--logs names no file. Received: {pattern!r}")
        found += [Path(name) for name in names]
    return found


def run(args: argparse.Namespace) -> None:
    """Runs every stage and prints what came out.

    Raises:
        StageError: if a stage fails.
        ValueError: if the output folder holds another chain.
    """
    start = time.monotonic()
    folders = Folders(args.output)
    _claim(folders.root, args)
    with ForkServer() as processes:
        _run_stages(args, folders, processes)
    print(f"all stages: {time.monotonic() - start:.0f} s")


def _run_stages(
    args: argparse.Namespace, folders: Folders, processes: ForkServer
) -> None:
    # Imported late: NumPy is slow, and `--help` needs none of it.
    from pipelines.demo.own_terms import own_terms

    chain = Chain(folders.root / ".stages", 11 if args.logs else 12, processes)
    stages = DemoCommands(chain, folders, _settings(args))
    if not args.logs:
        size = {name: getattr(args, name) for name in (*SYNTHETIC_SIZE, "seed")}
        stages.make_log({**size, **SHORT_HISTORIES})
    stages.prepare(args.logs or [folders.synthetic_log], args.format, args.columns)
    stages.train()
    rows = stages.evaluate()
    stages.export()
    user, history = stages.sample_user()
    answer = stages.query(history, args.k)
    intents = {} if args.logs else folders.planted_intents()
    print("\n" + "=" * 72)
    print(recommendations(user, history, answer, intents))
    print("\nmetrics on the test split, all items ranked")
    print(metrics_table(rows))
    print(f"\n{own_terms(*map(folders.test_ranks, ('sasrec', 's4rec')))}\n")
    print(folders.described())


def _claim(root: Path, args: argparse.Namespace) -> None:
    """Marks the output folder as this chain's; refuses one of another chain."""
    wanted = json.loads(json.dumps(_identity(args)))
    mark = root / "chain.json"
    if mark.exists():
        found = json.loads(mark.read_text("utf-8"))
        if found != wanted:
            names = sorted(k for k in wanted if found.get(k) != wanted[k])
            raise ValueError(
                f"{root} holds a chain with other inputs ({', '.join(names)}): remove "
                "it, or name another folder with --output (make demo OUTPUT=...). "
                f"There: {[found.get(k) for k in names]}. "
                f"Received: {[wanted[k] for k in names]}"
            )
        return
    root.mkdir(parents=True, exist_ok=True)
    beside = mark.with_suffix(".partial")
    beside.write_text(json.dumps(wanted, indent=1), "utf-8")
    beside.rename(mark)


def _identity(args: argparse.Namespace) -> dict[str, object]:
    """The inputs that make two chains the same."""
    if args.logs:
        states = [(path, path.stat()) for path in args.logs]
        logs = [[str(p.resolve()), s.st_size, s.st_mtime_ns] for p, s in states]
        log_format = [args.format, args.columns]
        return {"logs": logs, "format": log_format, "settings": _settings(args)}
    synthetic = [getattr(args, name) for name in (*SYNTHETIC_SIZE, "seed")]
    return {"synthetic": [*synthetic, SHORT_HISTORIES], "settings": _settings(args)}


def _settings(args: argparse.Namespace) -> list[str]:
    """Training settings; those of the command line come last and win."""
    own = () if args.logs else SYNTHETIC_SETTINGS
    return [f"seed={args.seed}", *own, *args.set]


if __name__ == "__main__":
    main()

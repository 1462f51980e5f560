"""The whole chain with one command: raw logs to recommendations over gRPC.

Every stage is one of the project's own commands, run as a child process just as one
would type it, and printed so that it can be typed. Without `--logs` the chain makes a
synthetic log for itself. Run again with the same inputs it skips what is done; training
resumes by itself.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from pipelines.demo_report import metrics_table, recommendations
from pipelines.demo_stages import DemoStages, Folders
from pipelines.stages import Chain, StageError
from s4rec_tf.exit_codes import ExitCode, of_signal

SYNTHETIC_SETTINGS = ("epochs=8",)
"""Settings of training on the synthetic log, chosen so that the demo stays short."""
SYNTHETIC_SIZE = {"users": 3000, "items": 1200, "intents": 24}


def main(argv: list[str] | None = None) -> None:
    """Runs the chain from the command line."""
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        run(args)
    except (StageError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


def _leave(number: int, _: FrameType | None) -> None:
    """Lets the blocks that own child processes end them."""
    sys.exit(of_signal(number))


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
    chain = Chain(folders.root / ".stages", total=11 if args.logs else 12)
    stages = DemoStages(chain, folders, _settings(args))
    if not args.logs:
        stages.make_log({n: getattr(args, n) for n in (*SYNTHETIC_SIZE, "seed")})
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
    print()
    print(folders.described())
    print(f"all stages: {time.monotonic() - start:.0f} s")


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
    """What makes two chains the same."""
    if args.logs:
        states = [(path, path.stat()) for path in args.logs]
        logs = [[str(p.resolve()), s.st_size, s.st_mtime_ns] for p, s in states]
        log_format = [args.format, args.columns]
        return {"logs": logs, "format": log_format, "settings": _settings(args)}
    synthetic = [args.users, args.items, args.intents, args.seed]
    return {"synthetic": synthetic, "settings": _settings(args)}


def _settings(args: argparse.Namespace) -> list[str]:
    """Training settings; those of the command line come last and win."""
    own = () if args.logs else SYNTHETIC_SETTINGS
    return [f"seed={args.seed}", *own, *args.set]


if __name__ == "__main__":
    main()

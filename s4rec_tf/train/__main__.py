"""`python -m s4rec_tf.train`: a dataset folder -> a run folder."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.runs.working_copy import run_folder
from s4rec_tf.train import stop_requests
from s4rec_tf.train.flags import add_run_flags, parse_run_flags

if TYPE_CHECKING:
    import tensorflow as tf

    from s4rec_tf.train.resumption import Progress

_STRATEGIES = ("none", "mirrored", "multiworker")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.train",
        allow_abbrev=False,
        description="Trains a model and keeps the best checkpoint by validation "
        "NDCG@20. If interrupted, rerun the command; it resumes. For a finished run it "
        "prints so and exits 0.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="finished dataset folder")
    add(
        "--strategy",
        choices=_STRATEGIES,
        default="none",
        help="devices: none (one), mirrored (all of this machine), multiworker "
        "(those that TF_CONFIG lists)",
    )
    add(
        "--warm_start",
        type=run_folder,
        metavar="RUN_DIR",
        help="start from the best weights of this run; items that the dataset has more "
        "than that run's get new rows",
    )
    add(
        "--data",
        choices=("auto", "memory", "streaming"),
        help="memory: read the dataset at once; streaming: read its shards anew every "
        "epoch, for datasets larger than memory; auto (default): by its size. The same "
        "as --set data=...",
    )
    add("--quiet", action="store_true", help="print the outcome alone")
    add("--json", action="store_true", help="print the outcome as one JSON object")
    add_run_flags(parser)
    args = parse_run_flags(parser, argv)
    if args.data:
        args.set.append(f"data={args.data}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    return stop_requests.run_until_stopped("train", lambda stop: _run(args, stop))


def _run(args: argparse.Namespace, stop: stop_requests.StopRequests) -> int:
    # Before anything else of TensorFlow: a multi-worker strategy must come first.
    from s4rec_tf.train.tensorflow import strategies

    strategy = strategies.make_strategy(args.strategy)
    # TensorFlow takes SIGTERM for itself where there are several workers.
    stop.listen()
    from s4rec_tf import spec
    from s4rec_tf.runs import config
    from s4rec_tf.train import keeping
    from s4rec_tf.train.tensorflow import trainer

    try:
        resolved = config.resolve(args.model, args.config, args.set)
    except config.ConfigError as error:
        print(f"train: {error}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        dataset = spec.DatasetDir(args.dataset)
        kept = keeping.Keeping(args.checkpoint_minutes, args.checkpoint_steps, stop)
        with _lines_of_epochs(args), ExitStack() as stack:
            run_dir, warm_start = _folders(args, strategy, stack)
            progress = trainer.train(
                resolved, dataset, run_dir, strategy, warm_start, kept
            )
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return ExitCode.FAILED
    if not strategies.is_chief(strategy):
        return ExitCode.OK
    print(_outcome(progress, args))
    return ExitCode.OK


def _folders(
    args: argparse.Namespace, strategy: tf.distribute.Strategy, stack: ExitStack
) -> tuple[Path, Path | None]:
    """The run folder and that of a warm start, on this machine."""
    from s4rec_tf.runs import working_copy
    from s4rec_tf.train.tensorflow import strategies

    if strategies.is_chief(strategy):
        opened = working_copy.opened_to_train(args.run_dir)
    else:
        opened = working_copy.opened(args.run_dir, with_states=True)
    # The others see what the chief goes on from.
    run_dir = strategies.chief_first(strategy, lambda: stack.enter_context(opened))
    if args.warm_start is None:
        return run_dir, None
    return run_dir, stack.enter_context(working_copy.opened(args.warm_start))


def _lines_of_epochs(args: argparse.Namespace) -> AbstractContextManager[object]:
    """Keeps lines about epochs off standard output where it is the outcome's alone."""
    if args.quiet:
        return contextlib.redirect_stdout(io.StringIO())
    if args.json:
        return contextlib.redirect_stdout(sys.stderr)
    return contextlib.nullcontext()


def _outcome(progress: Progress, args: argparse.Namespace) -> str:
    value, epoch = progress.best_value, progress.best_epoch
    if args.json:
        found = {"run_dir": args.run_dir, "best_epoch": epoch, "best_value": value}
        return json.dumps(found)
    return (
        f"best validation NDCG@20 {value:.4f} in epoch {epoch}; "
        f"run folder {args.run_dir}"
    )


if __name__ == "__main__":
    sys.exit(main())

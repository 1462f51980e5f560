"""`python -m s4rec_tf.train`: a dataset folder -> a run folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.train.flags import add_run_flags, parse_run_flags

_STRATEGIES = ("none", "mirrored", "multiworker")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.train",
        allow_abbrev=False,
        description="Trains a model and keeps the best checkpoint by validation "
        "NDCG@20. The same command on the same run folder resumes; a finished run says "
        "so and exits 0.",
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
        type=Path,
        metavar="RUN_DIR",
        help="start from the best weights of this run; items that the dataset has more "
        "than that run's get new rows",
    )
    add_run_flags(parser)
    return parse_run_flags(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    # Before anything else of TensorFlow: a multi-worker strategy must come first.
    from s4rec_tf.train.tensorflow import strategies

    strategy = strategies.make_strategy(args.strategy)
    from s4rec_tf import spec
    from s4rec_tf.runs import config
    from s4rec_tf.train.tensorflow import loop

    try:
        resolved = config.resolve(args.model, args.config, args.set)
    except config.ConfigError as error:
        print(f"train: {error}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        dataset = spec.DatasetDir(args.dataset)
        progress = loop.train(
            resolved, dataset, args.run_dir, strategy, args.warm_start
        )
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return ExitCode.FAILED
    if not strategies.is_chief(strategy):
        return ExitCode.OK
    print(
        f"best validation NDCG@20 {progress.best_value:.4f} "
        f"in epoch {progress.best_epoch}; run folder {args.run_dir}"
    )
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())

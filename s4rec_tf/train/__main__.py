"""`python -m s4rec_tf.train`: a dataset folder -> a run folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
    add("--run_dir", type=Path, required=True, help="run folder, created if missing")
    add("--model", help="model to train: popularity, sasrec, s4rec")
    add("--config", help="name of a shipped configuration, or a YAML or JSON file")
    add(
        "--set",
        action="append",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings that override the configuration, flat keys; repeatable",
    )
    add(
        "--strategy",
        choices=_STRATEGIES,
        default="none",
        help="devices: none (one), mirrored (all of this machine), multiworker "
        "(those that TF_CONFIG lists)",
    )
    args = parser.parse_args(argv)
    if not (args.model or args.config):
        parser.error("--model is required, or a --config that names one")
    args.set = [override for group in args.set for override in group]
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    # Before anything else of TensorFlow: a multi-worker strategy must come first.
    from s4rec_tf.train import strategies

    strategy = strategies.make_strategy(args.strategy)
    from s4rec_tf import config, spec
    from s4rec_tf.train import loop

    try:
        resolved = config.resolve(args.model, args.config, args.set)
    except config.ConfigError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    try:
        dataset = spec.DatasetDir(args.dataset)
        progress = loop.train(resolved, dataset, args.run_dir, strategy)
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    if not strategies.is_chief(strategy):
        return 0
    print(
        f"best validation NDCG@20 {progress.best_value:.4f} "
        f"in epoch {progress.best_epoch}; run folder {args.run_dir}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

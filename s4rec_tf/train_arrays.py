"""`python -m s4rec_tf.train_arrays`: arrays of a dataset -> a run folder, on JAX."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from s4rec_tf.train.flags import add_run_flags, parse_run_flags

_BACKEND = "KERAS_BACKEND"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.train_arrays",
        allow_abbrev=False,
        description="Trains a model on JAX, without TensorFlow, from a file of "
        "`python -m s4rec_tf.arrays`, and ranks the validation and test splits with "
        "the best checkpoint. Configuration and run folder are those of `python -m "
        "s4rec_tf.train`. The same command on the same run folder resumes; a finished "
        "run says so and exits 0.",
    )
    parser.add_argument(
        "--arrays", type=Path, required=True, help=".npz file of the dataset"
    )
    add_run_flags(parser)
    return parse_run_flags(parser, argv)


def check_backend() -> str | None:
    """What is wrong with the environment, in words; sets the backend if unset."""
    backend = os.environ.setdefault(_BACKEND, "jax")
    if backend != "jax":
        return f"{_BACKEND} must be jax, or unset. Received: {backend!r}"
    for package in ("jax", "keras"):
        if importlib.util.find_spec(package) is None:
            return f"it needs {package}, which is not installed"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    if problem := check_backend():
        print(f"train_arrays: {problem}", file=sys.stderr)
        return 2
    from s4rec_tf import config

    try:
        resolved = config.resolve(args.model, args.config, args.set)
    except config.ConfigError as error:
        print(f"train_arrays: {error}", file=sys.stderr)
        return 2
    from s4rec_tf.data import array_file
    from s4rec_tf.train import jax_loop

    try:
        dataset = array_file.read_arrays(args.arrays)
        progress = jax_loop.train(resolved, dataset, args.run_dir)
    except (ValueError, OSError) as error:
        print(f"train_arrays: {error}", file=sys.stderr)
        return 1
    print(
        f"best validation NDCG@20 {progress.best_value:.4f} "
        f"in epoch {progress.best_epoch}; run folder {args.run_dir}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

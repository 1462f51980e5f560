"""`python -m s4rec_tf.export`: a new servable version from a finished run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s4rec_tf import spec
from s4rec_tf.export import protocol


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.export",
        allow_abbrev=False,
        description="Exports the best checkpoint of a run as the next version of a "
        "servable model: BASE/NAME/N is a TensorFlow SavedModel that takes and gives "
        "raw item ids. Prints the version's path as the last line.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder of the run")
    add("--run_dir", type=Path, required=True, help="run folder of the training")
    add("--export_dir", type=Path, required=True, help="BASE/NAME, created if missing")
    add(
        "--max_k",
        type=int,
        default=100,
        help="items in an answer, the bound of k; default 100, cut to the vocabulary",
    )
    add(
        "--refit",
        action="store_true",
        help="train the chosen epochs again on all data, validation and test items "
        "included, and export that model",
    )
    args = parser.parse_args(argv)
    if args.max_k < 1:
        parser.error(f"--max_k must be at least 1. Received: {args.max_k}")
    return args


def _load(args: argparse.Namespace, dataset: spec.DatasetDir) -> tuple[Any, Any]:
    """The model to export and its run: the one place that knows the trainer."""
    from s4rec_tf.train import loop, runs

    model, run = runs.restore_best(args.run_dir, dataset)
    if args.refit:
        model = loop.refit(args.run_dir, dataset)
    return model, run


def export(args: argparse.Namespace) -> Path:
    """Exports a version and returns its path."""
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    model, run = _load(args, dataset)
    from s4rec_tf.export import popularity, write

    counts = popularity.all_counts if args.refit else popularity.training_counts
    training = "all actions (refit)" if args.refit else "all but the last two actions"
    card = {"Run": {"folder": args.run_dir, "trained on": training}, "Settings": run}
    return write.write_version(
        model,
        dataset,
        args.export_dir,
        max_k=args.max_k,
        popularity=counts(dataset),
        card=card,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        version = export(args)
    except (protocol.ExportError, spec.DatasetError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    print(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m s4rec_tf.export`: a new servable version from a finished run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.export import protocol
from s4rec_tf.retrieval import kinds
from s4rec_tf.runs import working_copy

TEST_METRICS = Path("evaluation") / "test.json"
"""File that `python -m s4rec_tf.evaluate` writes into the run folder."""


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
    add(
        "--run_dir",
        type=working_copy.run_folder,
        required=True,
        help="run folder of the training; also gs://... or s3://...",
    )
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
    add(
        "--index",
        choices=list(kinds.TABLE_DTYPES),
        default=kinds.DEFAULT.name,
        help="grouped: exact, one product; exact: the same by tensorflow-recommenders; "
        "streaming: exact, in parts, for many items; scann: approximate, needs ScaNN's "
        "operations in the server; default grouped",
    )
    add(
        "--table_dtype",
        choices=kinds.all_dtypes(),
        default="float32",
        help="of the item vectors in the index: bfloat16 (streaming) and int8 "
        "(streaming, scann) take a half and a quarter; default float32",
    )
    add(
        "--titles",
        type=Path,
        metavar="FILE",
        help="titles of items, which the server's page shows: an item id, a tab and a "
        "title a line",
    )
    add("--version", type=int, metavar="N", help="its number; default: the next")
    add("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    try:
        args.index = kinds.IndexKind(args.index, args.table_dtype)
    except kinds.RetrievalError as error:
        parser.error(str(error))
    if args.max_k < 1:
        parser.error(f"--max_k must be at least 1. Received: {args.max_k}")
    return args


def _load(
    args: argparse.Namespace, run_dir: Path, dataset: spec.DatasetDir
) -> tuple[protocol.Recommender, protocol.Recommender, dict[str, Any]]:
    """The model to export, the one chosen by validation, and facts for the card.

    The one place that imports the trainer.

    Raises:
        ExportError: if the run folder cannot be used.
    """
    from s4rec_tf.runs import checkpoints, restore
    from s4rec_tf.runs.run_dir import RunError
    from s4rec_tf.train.tensorflow.refit import refit

    try:
        chosen, run = restore.restore_best(run_dir, dataset)
        model = refit(run_dir, dataset) if args.refit else chosen
        settings = json.loads(run.config.read_text("utf-8"))
        outcome = run.read_manifest()
    except (RunError, checkpoints.CheckpointError) as error:
        raise protocol.ExportError(str(error)) from error
    return model, chosen, _facts(run.root, settings, outcome, args.refit)


def _facts(
    run_dir: Path, settings: dict[str, Any], outcome: dict[str, Any], is_refit: bool
) -> dict[str, Any]:
    parts = (
        "every action, validation and test items included"
        if is_refit
        else ("all but each user's last two actions")
    )
    card: dict[str, Any] = {
        "Training": {
            "trained on": parts,
            "best epoch": outcome.get("best_epoch"),
            "validation NDCG@20": outcome.get("best_value"),
        },
        "Settings": settings,
    }
    metrics = run_dir / TEST_METRICS
    if metrics.is_file():
        heading = "Test metrics" + " before the refit" * is_refit
        card[heading] = json.loads(metrics.read_text("utf-8"))
    return card


def export(args: argparse.Namespace) -> Path:
    """Exports a version and returns its path.

    Raises:
        ExportError: if the run cannot be used or its model cannot be served.
        RetrievalError: if the index cannot be built.
        DatasetError: if the dataset cannot be used.
        ValueError: if the titles cannot be read.
    """
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    from s4rec_tf.data.titles import read_titles

    titles = read_titles(args.titles) if args.titles else None
    with working_copy.opened(args.run_dir) as run_dir:
        model, chosen, card = _load(args, run_dir, dataset)
    from s4rec_tf.export import popularity, write

    counts = popularity.all_counts if args.refit else popularity.training_counts
    return write.write_version(
        model,
        dataset,
        args.export_dir,
        max_k=args.max_k,
        popularity=counts(dataset),
        card=card,
        without_validation=chosen if args.refit else None,
        index=args.index,
        version=args.version,
        titles=titles,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        version = export(args)
    except (ValueError, kinds.RetrievalError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return ExitCode.FAILED
    result = {"path": str(version), "version": int(version.name)}
    print(json.dumps(result) if args.json else version)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())

"""`python -m s4rec_tf.evaluate`: ranks a run's best checkpoint on a dataset's split."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s4rec_tf import spec
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.ranking import sampled_ranking
from s4rec_tf.runs import working_copy

if TYPE_CHECKING:
    from s4rec_tf.data.sequences import Sequences
    from s4rec_tf.evaluate.evaluation import Evaluation
    from s4rec_tf.models.base import SequenceRecommender

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of writing to a read-only run folder; metrics are then only printed."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.evaluate",
        allow_abbrev=False,
        description="Ranks all items for every user of a split with a run's best "
        "checkpoint. Prints a table; the last line is one JSON object of the metrics, "
        "also written to RUN_DIR/evaluation/SPLIT.json, with the rank of every user's "
        "target beside it in SPLIT_ranks.npz, unless the folder is read-only. A metric "
        "of a group without users is null. A note says where a metric measures "
        "something else than its name says.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder of the run")
    add(
        "--run_dir",
        type=working_copy.run_folder,
        required=True,
        help="run folder of the training; also gs://... or s3://...",
    )
    add("--split", choices=("test", "valid"), default="test", help="default: test")
    add(
        "--sampled",
        action="store_true",
        help=f"add ranks among {sampled_ranking.UNIFORM_NEGATIVES} uniform and "
        f"{sampled_ranking.POPULAR_NEGATIVES} popular negatives, under names of their "
        "own; not comparable with the full ranking",
    )
    add(
        "--later_dataset",
        action="store_true",
        help="the dataset goes on from the run's by --previous; the run is measured as "
        "in service: items that it does not know are never answered. Needs --output",
    )
    add("--output", type=Path, metavar="DIR", help="default: RUN_DIR/evaluation")
    add("--json", action="store_true", help="print the JSON object alone")
    args = parser.parse_args(argv)
    if args.later_dataset and (args.output is None or args.sampled):
        parser.error("--later_dataset needs --output, and takes no --sampled")
    return args


def _load(
    args: argparse.Namespace, run_dir: Path
) -> tuple[SequenceRecommender, Sequences, np.ndarray]:
    """The model, the split, and the training actions on every item."""
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    if not run_dir.is_dir():
        raise ValueError(f"run folder {run_dir} does not exist")
    from s4rec_tf.data import records
    from s4rec_tf.runs import restore

    if args.later_dataset:
        from s4rec_tf.evaluate import later_dataset

        model = later_dataset.restore_earlier(run_dir, dataset)
    else:
        model, _ = restore.restore_best(run_dir, dataset)
    sequences = records.read_split(dataset, args.split)
    if not len(sequences):
        raise ValueError(f"{dataset.root / args.split} holds no user")
    trained_ids = records.read_split(dataset, "train").values
    counts = np.bincount(trained_ids, minlength=dataset.info().num_items + 1)[1:]
    return model, sequences, counts


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        with working_copy.opened(args.run_dir) as run_dir:
            return _evaluate(args, run_dir)
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return ExitCode.FAILED


def _evaluate(args: argparse.Namespace, run_dir: Path) -> int:
    model, sequences, item_counts = _load(args, run_dir)
    from s4rec_tf.evaluate import evaluation, later_dataset

    if args.later_dataset:
        found = later_dataset.evaluate_earlier(model, sequences)
    else:
        counts = item_counts if args.sampled else None
        found = evaluation.evaluate_model(model, sequences, sampling_counts=counts)
    _print(args, found, sequences, item_counts)
    folder = args.output or run_dir / "evaluation"
    try:
        evaluation.write_evaluation(folder, args.split, found, sequences.is_head)
        working_copy.publish(run_dir)
    except OSError as error:
        print(f"evaluate: not written: {error}", file=sys.stderr)
        return ExitCode.OK if error.errno in _READ_ONLY else ExitCode.FAILED
    return ExitCode.OK


def _print(
    args: argparse.Namespace,
    found: Evaluation,
    sequences: Sequences,
    item_counts: np.ndarray,
) -> None:
    from s4rec_tf.evaluate import report
    from s4rec_tf.evaluate.caveats import caveats

    if not args.json:
        split_by = spec.DatasetDir(args.dataset).info().split
        print(f"{args.split}, sequences split by {split_by}")
        print(report.metrics_table(found.metrics, sequences))
        print(report.list_summary(found.top_ids, sequences.target_ids, item_counts))
    for note in caveats(sequences, item_counts, args.sampled):
        print(f"note: {note}", file=sys.stderr if args.json else sys.stdout)
    print(json.dumps(found.metrics, allow_nan=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())

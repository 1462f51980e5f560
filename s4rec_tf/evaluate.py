"""`python -m s4rec_tf.evaluate`: ranks a run's best checkpoint on a dataset's split."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s4rec_tf import metrics, ranking, sampled_ranking, spec
from s4rec_tf.data.sequences import Sequences

if TYPE_CHECKING:
    from s4rec_tf.models.base import SequenceRecommender

LIST_LENGTH = 20
"""Length of the lists that coverage and popularity bias are about."""

Metrics = dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a model does on a split.

    Attributes:
        metrics: in their fixed order; None for a group without users.
        ranks: rank of every user's target, history excluded, int64 [N].
        top_ids: the `list_length` best items of every user, int32 [N, k], as
            `ranking.FullRanking` has them.
    """

    metrics: Metrics
    ranks: np.ndarray
    top_ids: np.ndarray


def evaluate_model(
    model: SequenceRecommender,
    sequences: Sequences,
    sampling_counts: np.ndarray | None = None,
    list_length: int = LIST_LENGTH,
) -> Evaluation:
    """Ranks all items for every user of a split.

    Args:
        model: as trained.
        sequences: a split with targets, N users.
        sampling_counts: training actions on item n at index n - 1, int [V]; if given,
            ranks among sampled negatives are added.
        list_length: k of `top_ids`; 0 leaves the lists out, which is faster.
    """
    from s4rec_tf import encoding

    users = encoding.encode_users(model, sequences)
    items, scorer = np.asarray(model.item_vectors()), encoding.pair_scorer(model)
    ranked = ranking.full_ranks(
        users, items, sequences, top_k=list_length, pair_scores=scorer
    )
    found = ranking.ranking_metrics(ranked.ranks, ranked.unfiltered_ranks, sequences)
    if sampling_counts is not None:
        found |= sampled_ranking.sampled_metrics(
            users, items, sequences, sampling_counts, pair_scores=scorer
        )
    return Evaluation(found, ranked.ranks, ranked.top_ids)


def metrics_table(values: Metrics, sequences: Sequences) -> str:
    """The metrics as a table, a row a metric and a column a group of users."""
    groups = ranking.user_groups(sequences)
    sizes = {name: int(np.sum(members)) for name, members in groups.items()}
    columns = ["overall", *dict.fromkeys(k.split("/")[0] for k in values if "/" in k)]
    widths = [max(8, len(name)) for name in columns]
    lines = [_line("", columns, widths)]
    for metric in metrics.METRIC_NAMES:
        keys = [metric, *(f"{name}/{metric}" for name in columns[1:])]
        found = [values[key] for key in keys]
        cells = ["-" if value is None else f"{value:.4f}" for value in found]
        lines.append(_line(metric, cells, widths))
    counts = [str(sizes.get(name, len(sequences))) for name in columns]
    return "\n".join([*lines, _line("users", counts, widths)])


def _line(label: str, cells: list[str], widths: list[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([label.ljust(8), *padded])


def list_summary(
    top_ids: np.ndarray, target_ids: np.ndarray, item_counts: np.ndarray
) -> str:
    """Coverage and popularity bias of the recommended lists, in words.

    Args:
        top_ids: recommended item ids, int [N, k].
        target_ids: int [N].
        item_counts: training actions on item n at index n - 1, int [V].
    """
    covered = metrics.coverage(top_ids, len(item_counts))
    percentiles = metrics.popularity_percentiles(item_counts)
    recommended = metrics.mean_percentile(top_ids, percentiles)
    wanted = metrics.mean_percentile(target_ids, percentiles)
    return (
        f"coverage@{LIST_LENGTH}: {covered:.4f} of {len(item_counts)} items are in the "
        f"first {LIST_LENGTH} of some user\n"
        f"popularity bias@{LIST_LENGTH}: {recommended - wanted:+.4f} (mean popularity "
        f"percentile of recommended items {recommended:.4f}, of targets {wanted:.4f})"
    )


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s4rec_tf.evaluate",
        allow_abbrev=False,
        description="Ranks all items for every user of a split with a run's best "
        "checkpoint. Prints a table; the last line is one JSON object of the metrics, "
        "also written to RUN_DIR/evaluation/SPLIT.json, with the rank of every user's "
        "target beside it in SPLIT_ranks.npz. A metric of a group without users is "
        "null.",
    )
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset folder of the run")
    add("--run_dir", type=Path, required=True, help="run folder of the training")
    add("--split", choices=("test", "valid"), default="test", help="default: test")
    add(
        "--sampled",
        action="store_true",
        help=f"add ranks among {sampled_ranking.UNIFORM_NEGATIVES} uniform and "
        f"{sampled_ranking.POPULAR_NEGATIVES} popular negatives, under names of their "
        "own; not comparable with the full ranking",
    )
    return parser.parse_args(argv)


def _load(
    args: argparse.Namespace,
) -> tuple[SequenceRecommender, Sequences, np.ndarray]:
    """The model, the split, and the training actions on every item."""
    dataset = spec.DatasetDir(args.dataset)
    dataset.verify()
    if not args.run_dir.is_dir():
        raise ValueError(f"run folder {args.run_dir} does not exist")
    from s4rec_tf.data import records
    from s4rec_tf.train import runs

    model, _ = runs.restore_best(args.run_dir, dataset)
    sequences = records.read_split(dataset, args.split)
    if not len(sequences):
        raise ValueError(f"{dataset.root / args.split} holds no user")
    trained_ids = records.read_split(dataset, "train").values
    counts = np.bincount(trained_ids, minlength=dataset.info().num_items + 1)[1:]
    return model, sequences, counts


def write_evaluation(
    run_dir: Path, split: str, found: Evaluation, is_head: np.ndarray
) -> None:
    """Writes `evaluation/SPLIT.json` and `evaluation/SPLIT_ranks.npz` of a run folder.

    The ranks, unsigned of the smallest type that holds them, and `is_head` are in order
    of user id as bytes, so that the runs of a dataset can be compared user by user.

    Args:
        run_dir: the run folder.
        split: valid or test.
        found: what was measured.
        is_head: True for head users, bool [N].
    """
    from s4rec_tf.train import runs

    folder = run_dir / "evaluation"
    folder.mkdir(exist_ok=True)
    kind = np.min_scalar_type(int(found.ranks.max(initial=0)))
    temporary = folder / f".{split}_ranks.npz.tmp"
    with temporary.open("wb") as stream:
        np.savez_compressed(stream, ranks=found.ranks.astype(kind), is_head=is_head)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / f"{split}_ranks.npz")
    runs.write_json(folder / f"{split}.json", found.metrics)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        model, sequences, item_counts = _load(args)
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    counts = item_counts if args.sampled else None
    found = evaluate_model(model, sequences, sampling_counts=counts)
    try:
        write_evaluation(args.run_dir, args.split, found, sequences.is_head)
    except OSError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    split_by = spec.DatasetDir(args.dataset).info().split
    print(f"{args.split}, sequences split by {split_by}")
    print(metrics_table(found.metrics, sequences))
    print(list_summary(found.top_ids, sequences.target_ids, item_counts))
    print(json.dumps(found.metrics, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())

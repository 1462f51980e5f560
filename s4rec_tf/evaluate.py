"""`python -m s4rec_tf.evaluate`: ranks a run's best checkpoint on a dataset's split."""

from __future__ import annotations

import argparse
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from s4rec_tf import metrics, ranking, sampled_ranking, spec
from s4rec_tf.data.sequences import Sequences

BATCH_SIZE = 512
LIST_LENGTH = 20
"""Length of the lists that coverage and popularity bias are about."""

Metrics = dict[str, float | None]


class Recommender(Protocol):
    """What the evaluation asks of a model.

    Attributes:
        max_length: L, the number of items the encoder sees.
    """

    max_length: int

    def user_vectors(self, item_ids: Any) -> Any:
        """[B, d] of int32 [B, L] item ids, left-padded; traced once for any B."""

    def item_vectors(self) -> Any:
        """[V, d]; row n - 1 of item n."""


def evaluate_model(model: Recommender, sequences: Sequences) -> Metrics:
    """Full-ranking metrics of a model, as `ranking.ranking_metrics` names them.

    Meant for every epoch of a training: the encoder is traced once a model.

    Args:
        model: scores items by the dot product of its vectors.
        sequences: a split with targets.
    """
    users = encode_users(model, sequences)
    return evaluate_vectors(users, item_vectors(model), sequences)


def evaluate_vectors(
    users: np.ndarray, items: np.ndarray, sequences: Sequences
) -> Metrics:
    """As `evaluate_model`, of vectors that are there: users [N, d], items [V, d]."""
    ranked = ranking.full_ranks(users, items, sequences)
    return ranking.ranking_metrics(ranked.ranks, ranked.unfiltered_ranks, sequences)


def encode_users(model: Recommender, sequences: Sequences) -> np.ndarray:
    """Vectors of all users in order of `sequences`, [N, d].

    Users of like length are encoded together, so that an encoder which leaves padding
    out has little of it.

    Raises:
        ValueError: if there is no user.
    """
    if not len(sequences):
        raise ValueError("there must be a user to evaluate on. Received: none")
    encode = _compiled_encoder(model)
    order = np.argsort(sequences.lengths, kind="stable")
    batches = [
        encode(sequences.padded(order[start : start + BATCH_SIZE], model.max_length))
        for start in range(0, len(order), BATCH_SIZE)
    ]
    vectors = np.concatenate([np.asarray(batch) for batch in batches])
    restored = np.empty_like(vectors)
    restored[order] = vectors
    return restored


def item_vectors(model: Recommender) -> np.ndarray:
    """Vectors of all items, [V, d]."""
    return np.asarray(model.item_vectors())


_encoders: weakref.WeakKeyDictionary[Any, Callable] = weakref.WeakKeyDictionary()


def _compiled_encoder(model: Recommender) -> Callable[[np.ndarray], Any]:
    """`model.user_vectors` as a graph for [None, L], made once a model."""
    if model not in _encoders:
        import tensorflow as tf

        # A strong reference here would keep the key, and so the model, for ever.
        reference = weakref.ref(model)

        def encode(item_ids: tf.Tensor) -> tf.Tensor:
            return reference().user_vectors(item_ids)  # type: ignore[union-attr]

        signature = [tf.TensorSpec([None, model.max_length], tf.int32)]
        _encoders[model] = tf.function(encode, input_signature=signature)
    return _encoders[model]


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
        "also written to RUN_DIR/evaluation/SPLIT.json. A metric of a group without "
        "users is null.",
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


def _load(args: argparse.Namespace) -> tuple[Recommender, Sequences, np.ndarray]:
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


def _write(path: Path, values: Metrics) -> None:
    from s4rec_tf.train import runs

    path.parent.mkdir(exist_ok=True)
    runs.write_json(path, values)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        model, sequences, item_counts = _load(args)
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    users, items = encode_users(model, sequences), item_vectors(model)
    ranked = ranking.full_ranks(users, items, sequences, top_k=LIST_LENGTH)
    values = ranking.ranking_metrics(ranked.ranks, ranked.unfiltered_ranks, sequences)
    if args.sampled:
        values |= sampled_ranking.sampled_metrics(users, items, sequences, item_counts)
    try:
        _write(args.run_dir / "evaluation" / f"{args.split}.json", values)
    except OSError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    print(metrics_table(values, sequences))
    print(list_summary(ranked.top_ids, sequences.target_ids, item_counts))
    print(json.dumps(values, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())

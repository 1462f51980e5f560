"""Evaluation of a model on a split, and the files that keep it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from s4rec_tf.atomic_files import replaced, write_json
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding, full_ranking, sampled_ranking

LIST_LENGTH = 20
"""Length of the lists that coverage and popularity bias are about."""

Metrics = dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of a model on a split.

    Attributes:
        metrics: in their fixed order; None for a group without users.
        ranks: rank of every user's target, history excluded, int64 [N].
        top_ids: the `list_length` best items of every user, int32 [N, k], as
            `FullRanking` has them.
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

    Returns:
        metrics, the rank of every user's target, and the best items of every user.
    """
    users = encoding.encode_users(model, sequences)
    items, scorer = np.asarray(model.item_vectors()), encoding.pair_scorer(model)
    ranked = full_ranking.full_ranks(
        users, items, sequences, top_k=list_length, pair_scores=scorer
    )
    found = full_ranking.ranking_metrics(
        ranked.ranks, ranked.unfiltered_ranks, sequences
    )
    if sampling_counts is not None:
        found |= sampled_ranking.sampled_metrics(
            users, items, sequences, sampling_counts, pair_scores=scorer
        )
    return Evaluation(found, ranked.ranks, ranked.top_ids)


def write_evaluation(
    folder: Path, split: str, found: Evaluation, is_head: np.ndarray
) -> None:
    """Writes `SPLIT.json`, and before it `SPLIT_ranks.npz`, into a folder.

    The ranks, unsigned of the smallest type that holds them, and `is_head` are in order
    of user id as bytes, so that the runs of a dataset can be compared user by user.

    Args:
        folder: `evaluation` of the run folder, or another; made if missing.
        split: valid or test.
        found: what was measured.
        is_head: True for head users, bool [N].
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.min_scalar_type(int(found.ranks.max(initial=0)))
    with replaced(folder / f"{split}_ranks.npz") as stream:
        np.savez_compressed(stream, ranks=found.ranks.astype(kind), is_head=is_head)
    write_json(folder / f"{split}.json", found.metrics)

"""Formulas on ranks and on recommended lists.

A rank is the place of a user's target among all items that may be recommended to the
user; 1 is best. There is one target a user, so that HR@k is Recall@k, and the ideal DCG
of NDCG@k is 1.
"""

from __future__ import annotations

import numpy as np

from s4rec_tf import spec

CUTOFFS = (5, 10, 20)
"""The k of HR@k and NDCG@k."""

METRIC_NAMES = (
    *(f"HR@{k}" for k in CUTOFFS),
    *(f"NDCG@{k}" for k in CUTOFFS),
    "MRR",
)
"""Names of the metrics of a group of users, in the order in which they are reported."""


def rank_of_target(scores: np.ndarray, target_ids: np.ndarray) -> np.ndarray:
    """The rank of each row's target, ties and NaN counting against it.

    The rank is 1 plus the number of other items that do not score strictly less than
    the target. A score that is NaN is never less, nor is any score less than NaN.

    Args:
        scores: score of item n in column n - 1, [B, V].
        target_ids: item ids, int [B].

    Returns:
        ranks in [1, V], int64 [B].
    """
    target_scores = scores[np.arange(len(scores)), target_ids - 1]
    return scores.shape[1] - np.count_nonzero(scores < target_scores[:, None], axis=1)


def hit_rate(ranks: np.ndarray, k: int) -> float:
    """HR@k: share of users with a rank of at most k.

    Args:
        ranks: int [N], not empty.
        k: length of the list.
    """
    return float(np.mean(ranks <= k))


def ndcg(ranks: np.ndarray, k: int) -> float:
    """NDCG@k: mean of 1 / log2(rank + 1), or of 0 where the rank exceeds k.

    Args:
        ranks: int [N], not empty.
        k: length of the list.
    """
    return float(np.mean(np.where(ranks <= k, 1 / np.log2(ranks + 1.0), 0.0)))


def reciprocal_rank(ranks: np.ndarray) -> float:
    """MRR: mean of 1 / rank, not cut off.

    Args:
        ranks: int [N], not empty.
    """
    return float(np.mean(1 / ranks))


def metrics_of_ranks(ranks: np.ndarray) -> dict[str, float | None]:
    """All of `METRIC_NAMES`; each None if there is no user.

    Args:
        ranks: int [N].
    """
    if not len(ranks):
        return dict.fromkeys(METRIC_NAMES)
    return {
        **{f"HR@{k}": hit_rate(ranks, k) for k in CUTOFFS},
        **{f"NDCG@{k}": ndcg(ranks, k) for k in CUTOFFS},
        "MRR": reciprocal_rank(ranks),
    }


def coverage(recommended_ids: np.ndarray, num_items: int) -> float:
    """Share of the vocabulary that is recommended to one user at least.

    Args:
        recommended_ids: lists of item ids, int [N, k]; `PAD_ID` is left out.
        num_items: V.
    """
    recommended = np.unique(recommended_ids)
    return np.count_nonzero(recommended != spec.PAD_ID) / num_items


def popularity_percentiles(item_counts: np.ndarray) -> np.ndarray:
    """Place of every item in the vocabulary by its number of training actions.

    Args:
        item_counts: actions on item n at index n - 1, int [V].

    Returns:
        share of items with a lower count, plus half the share with the same count:
        0.5 on average over the vocabulary, near 1 for the most popular, float64 [V].
    """
    ordered = np.sort(item_counts)
    lower = np.searchsorted(ordered, item_counts, side="left")
    not_higher = np.searchsorted(ordered, item_counts, side="right")
    return (lower + not_higher) / (2 * len(item_counts))


def mean_percentile(item_ids: np.ndarray, percentiles: np.ndarray) -> float:
    """Mean popularity percentile of items; every occurrence counts.

    The popularity bias of a model is the mean of what it recommends less the mean of
    the targets.

    Args:
        item_ids: int, any shape; `PAD_ID` is left out; one item at least.
        percentiles: from `popularity_percentiles`, [V].
    """
    real_ids = item_ids[item_ids != spec.PAD_ID]
    return float(np.mean(percentiles[real_ids - 1]))

"""Ranks among sampled negatives, to compare with papers that report only these.

Sampled ranks order models differently from full ranks and are much higher; they are
reported under names of their own and never select a model. SSI ranks the target among
99 uniform negatives, DSSRec among 100 drawn by popularity.
"""

from __future__ import annotations

import numpy as np

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import metrics
from s4rec_tf.ranking.full_ranking import (
    PairScores,
    check_vectors,
    seen_items,
    user_chunks,
    with_prefix,
)

UNIFORM_NEGATIVES = 99
POPULAR_NEGATIVES = 100


def sampled_metrics(
    user_vectors: np.ndarray,
    item_vectors: np.ndarray,
    sequences: Sequences,
    item_counts: np.ndarray,
    seed: int = 0,
    pair_scores: PairScores | None = None,
) -> dict[str, float | None]:
    """Metrics under `sampled_uniform_99/` and `sampled_popular_100/`.

    Args:
        user_vectors: [N, d].
        item_vectors: [V, d], row n - 1 of item n.
        sequences: histories and targets of the N users.
        item_counts: training actions on item n at index n - 1, int [V].
        seed: of both draws.
        pair_scores: what scores are; dot products if None.
    """
    check_vectors(user_vectors, item_vectors, sequences)
    result: dict[str, float | None] = {}
    for name, count, weights in (
        ("uniform", UNIFORM_NEGATIVES, np.ones(len(item_vectors))),
        ("popular", POPULAR_NEGATIVES, item_counts),
    ):
        negatives = sample_negatives(sequences, weights, count, seed)
        ranks = _sampled_ranks(
            user_vectors, item_vectors, sequences, negatives, pair_scores
        )
        prefix = f"sampled_{name}_{count}"
        result |= with_prefix(prefix, metrics.metrics_of_ranks(ranks))
    return result


def sample_negatives(
    sequences: Sequences, weights: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Distinct items of neither the user's history nor the target.

    Drawn one after the other, each with probability proportional to its weight among
    those left: the `count` lowest of independent exponential variables with the weights
    as rates (exponential races).

    Args:
        sequences: histories and targets of N users.
        weights: weight of item n at index n - 1, [V]; 0 is never drawn.
        count: items a user.
        seed: of the generator.

    Returns:
        item ids, int64 [N, min(count, V)]; 0 where a user has no further item.
    """
    generator = np.random.default_rng(seed)
    rows, seen_ids = seen_items(sequences)
    count = min(count, len(weights))
    with np.errstate(divide="ignore"):
        scale = (1.0 / weights).astype(np.float32)
    drawn = np.zeros((len(sequences), count), np.int64)
    for part in user_chunks(len(sequences), len(weights)):
        size = (part.stop - part.start, len(weights))
        times = generator.standard_exponential(size, dtype=np.float32) * scale
        first, last = np.searchsorted(rows, [part.start, part.stop])
        times[rows[first:last] - part.start, seen_ids[first:last] - 1] = np.inf
        times[np.arange(size[0]), sequences.target_ids[part] - 1] = np.inf
        columns = np.argpartition(times, count - 1, axis=1)[:, :count]
        is_left = np.isfinite(np.take_along_axis(times, columns, axis=1))
        drawn[part] = np.where(is_left, columns + 1, 0)
    return drawn


def _sampled_ranks(
    user_vectors: np.ndarray,
    item_vectors: np.ndarray,
    sequences: Sequences,
    negatives: np.ndarray,
    pair_scores: PairScores | None,
) -> np.ndarray:
    """1 plus the number of negatives not scoring strictly less, int64 [N]."""
    candidates = np.concatenate([sequences.target_ids[:, None], negatives], axis=1)
    ranks = np.zeros(len(sequences), np.int64)
    width = candidates.shape[1] * item_vectors.shape[1]
    for part in user_chunks(len(sequences), width):
        vectors = item_vectors[np.maximum(candidates[part] - 1, 0)]
        if pair_scores is None:
            scores = np.einsum("nd,ncd->nc", user_vectors[part], vectors)
        else:
            scores = pair_scores(user_vectors[part, None], vectors)
        is_above = ~(scores < scores[:, :1]) & (candidates[part] > 0)
        ranks[part] = np.count_nonzero(is_above, axis=1)
    return ranks

"""Ranks of the targets among all items, and their metrics by group of users.

The protocol (full ranking, never sampled): every item of a user's full input history is
excluded from the ranking, the target never is; ties and NaN count against the target;
padding and mask are no items and are not ranked. The unfiltered rank, with the history
left in, is reported beside it, since published tables mix the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import metrics

CELLS_IN_MEMORY = 1 << 23
"""Bound on the elements of a score matrix in memory at once; 32 MiB of float32."""


PairScores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Scores [N, n] of user vectors [N, 1, d] and item vectors [1 or N, n, e]."""


@dataclasses.dataclass(frozen=True)
class FullRanking:
    """The outcome of a full ranking.

    Attributes:
        ranks: rank of the target, history excluded, int64 [N].
        unfiltered_ranks: rank of the target, history left in, int64 [N].
        top_ids: best items, history excluded, best first, int32 [N, k]; `PAD_ID` where
            fewer than k items are left. Of items that tie for the last place, any.
    """

    ranks: np.ndarray
    unfiltered_ranks: np.ndarray
    top_ids: np.ndarray


def full_ranks(
    user_vectors: np.ndarray,
    item_vectors: np.ndarray,
    sequences: Sequences,
    top_k: int = 0,
    pair_scores: PairScores | None = None,
) -> FullRanking:
    """Ranks every user's target among all items.

    Args:
        user_vectors: [N, d], row n of user n of `sequences`.
        item_vectors: [V, d], row n - 1 of item n.
        sequences: histories and targets.
        top_k: length of the lists of best items; 0 leaves them out, which is faster.
        pair_scores: what scores are; dot products if None.

    Raises:
        ValueError: if there is not one vector a user, or a target or an item of a
            history has none.
    """
    check_vectors(user_vectors, item_vectors, sequences)
    rows, seen_ids = seen_items(sequences)
    num_items = len(item_vectors)
    top_k = min(top_k, num_items)
    unfiltered = np.zeros(len(sequences), np.int64)
    seen_above = np.zeros(len(sequences), np.int64)
    top_ids = np.full((len(sequences), top_k), spec.PAD_ID, np.int32)
    for part in user_chunks(len(sequences), num_items):
        if pair_scores is None:
            scores = user_vectors[part] @ item_vectors.T
        else:
            scores = pair_scores(user_vectors[part, None], item_vectors[None])
        targets = sequences.target_ids[part]
        unfiltered[part] = metrics.rank_of_target(scores, targets)
        first, last = np.searchsorted(rows, [part.start, part.stop])
        seen = rows[first:last] - part.start, seen_ids[first:last] - 1
        target_scores = scores[np.arange(len(targets)), targets - 1]
        is_above = ~(scores[seen] < target_scores[seen[0]])
        seen_above[part] = np.bincount(seen[0][is_above], minlength=len(targets))
        if top_k:
            scores[seen] = -np.inf
            top_ids[part] = _top_ids(scores, top_k)
    return FullRanking(unfiltered - seen_above, unfiltered, top_ids)


def seen_items(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """The items that a ranking excludes: each of a history once, but for the target.

    Returns:
        rows of `sequences`, ascending, and item ids, both int64 [M].
    """
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    is_seen = sequences.values != sequences.target_ids[rows]
    stride = int(sequences.values.max(initial=0)) + 1
    pairs = np.unique(rows[is_seen] * stride + sequences.values[is_seen])
    return pairs // stride, pairs % stride


def user_chunks(num_users: int, width: int) -> list[slice]:
    """Slices of users, each with at most `CELLS_IN_MEMORY` elements of `width`."""
    size = max(1, CELLS_IN_MEMORY // width)
    starts = range(0, num_users, size)
    return [slice(start, min(start + size, num_users)) for start in starts]


def user_groups(sequences: Sequences) -> dict[str, np.ndarray]:
    """The groups that metrics are reported on, bool [N] each, in their order.

    `head` and `tail` by the stored flag. The quartiles cut the users, sorted by the
    length of their full sequence and then by user id as bytes (the tie rule of the head
    flag), into four groups that differ by one user at most: `length_q1` has the
    shortest sequences, and the first groups are the larger ones.
    """
    by_user_id = np.argsort(sequences.user_ids, kind="stable")
    lengths = sequences.sequence_lengths[by_user_id]
    by_length = by_user_id[np.argsort(lengths, kind="stable")]
    groups = {"head": sequences.is_head, "tail": ~sequences.is_head}
    for number, rows in enumerate(np.array_split(by_length, 4), start=1):
        groups[f"length_q{number}"] = np.isin(np.arange(len(sequences)), rows)
    return groups


def ranking_metrics(
    ranks: np.ndarray, unfiltered_ranks: np.ndarray, sequences: Sequences
) -> dict[str, float | None]:
    """Metrics of all users, of every group, and of the unfiltered ranking.

    Args:
        ranks: rank of the target, history excluded, int [N].
        unfiltered_ranks: rank of the target, history left in, int [N].
        sequences: the users.

    Returns:
        `metrics.METRIC_NAMES`, then the same under `head/`, `tail/`, `length_q1/` to
        `length_q4/` and `unfiltered/`, in this order. The metrics of a group without
        users are None.
    """
    result = metrics.metrics_of_ranks(ranks)
    for name, is_member in user_groups(sequences).items():
        result |= with_prefix(name, metrics.metrics_of_ranks(ranks[is_member]))
    unfiltered = metrics.metrics_of_ranks(unfiltered_ranks)
    return result | with_prefix("unfiltered", unfiltered)


def with_prefix(
    prefix: str, values: dict[str, float | None]
) -> dict[str, float | None]:
    """The same values under `prefix/name`."""
    return {f"{prefix}/{name}": value for name, value in values.items()}


def check_vectors(
    user_vectors: np.ndarray, item_vectors: np.ndarray, sequences: Sequences
) -> None:
    """Refuses vectors that do not belong to the users or to the items.

    Raises:
        ValueError: as `full_ranks`.
    """
    if len(user_vectors) != len(sequences):
        raise ValueError(
            f"`user_vectors` must have a row for each of {len(sequences)} users. "
            f"Received: {user_vectors.shape}"
        )
    for name, ids in ("target", sequences.target_ids), ("item", sequences.values):
        wrong = ids[(ids < 1) | (ids > len(item_vectors))]
        if len(wrong):
            raise ValueError(
                f"every {name} id must lie in [1, {len(item_vectors)}], the rows of "
                f"`item_vectors`. Received: {wrong[0]}"
            )


def _top_ids(scores: np.ndarray, top_k: int) -> np.ndarray:
    """Ids of the highest scores, best first; -inf and NaN are left out."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    columns = np.argpartition(scores, -top_k, axis=1)[:, -top_k:]
    columns = np.sort(columns, axis=1)
    found = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    ids = np.take_along_axis(columns + 1, order, axis=1)
    is_left = np.take_along_axis(found, order, axis=1) > -np.inf
    return np.where(is_left, ids, spec.PAD_ID).astype(np.int32)

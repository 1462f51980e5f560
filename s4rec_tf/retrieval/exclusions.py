"""Dropping items that must not be answered from candidates, at no cost in recall.

TensorFlow graph code, traced into the exported SavedModel.
"""

from __future__ import annotations

import tensorflow as tf

from s4rec_tf import spec

NO_SCORE = tf.float32.min
"""Score of an entry that is no item: the lowest finite float32, never NaN or -inf."""


def candidates_needed(excluded: tf.Tensor, k: int, num_items: int) -> tf.Tensor:
    """Number of candidates of which k are left when the excluded ones are dropped.

    Args:
        excluded: int32 [B, E] item ids; `PAD_ID` is no item.
        k: candidates wanted.
        num_items: V, the most there can be.

    Returns:
        int32 scalar: min(V, k + the largest number of excluded items in a row).
    """
    per_row = tf.math.count_nonzero(excluded, axis=1, dtype=tf.int32)
    # The leading zero answers for a batch without rows.
    most = tf.reduce_max(tf.concat([tf.zeros([1], tf.int32), per_row], axis=0))
    return tf.minimum(k + most, num_items)


def is_member(item_ids: tf.Tensor, members: tf.Tensor) -> tf.Tensor:
    """Row by row, whether an item is among the members.

    By binary search, so that cost and memory grow with K log E and not with K * E.

    Args:
        item_ids: int32 [B, K].
        members: int32 [B, E].

    Returns:
        bool [B, K]; True means that the item is in the row of `members`.
    """
    above_all = tf.fill([tf.shape(members)[0], 1], tf.int32.max)
    ordered = tf.concat([tf.sort(members, axis=1), above_all], axis=1)
    position = tf.searchsorted(ordered, item_ids, side="left")
    return tf.gather(ordered, position, batch_dims=1) == item_ids


def distinct_sorted(item_ids: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    """Row by row, each item once and in order, without the excluded ones.

    Args:
        item_ids: int32 [B, A]; `PAD_ID` is no item.
        excluded: int32 [B, E].

    Returns:
        int32 [B, W], rising, then `PAD_ID`; W is what the fullest row needs.
    """
    last = tf.int32.max
    is_left = (item_ids != spec.PAD_ID) & ~is_member(item_ids, excluded)
    ordered = tf.sort(tf.where(is_left, item_ids, last), axis=1)
    before = tf.pad(ordered, [[0, 0], [1, 0]])[:, :-1]
    once = tf.sort(tf.where(ordered == before, last, ordered), axis=1)
    per_row = tf.math.count_nonzero(once != last, axis=1, dtype=tf.int32)
    width = tf.reduce_max(tf.concat([tf.zeros([1], tf.int32), per_row], axis=0))
    once = once[:, :width]
    return tf.where(once == last, spec.PAD_ID, once)


def drop_excluded(
    scores: tf.Tensor, item_ids: tf.Tensor, excluded: tf.Tensor, k: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the first k candidates that are not excluded, in their order.

    Args:
        scores: float32 [B, K].
        item_ids: int32 [B, K], best first; as many as `candidates_needed` gives.
        excluded: int32 [B, E]; `PAD_ID` is no item.
        k: width of the answer.

    Returns:
        scores float32 [B, k] and item ids int32 [B, k]. Where too few items remain the
        rest is `PAD_ID` with `NO_SCORE`.
    """
    rows, width = tf.shape(item_ids)[0], tf.shape(item_ids)[1]
    keep = tf.logical_not(is_member(item_ids, excluded))
    # Kept candidates first; each group keeps its order. Keys are distinct, so
    # nothing depends on how the sort treats equal ones.
    position = tf.range(width)[tf.newaxis, :]
    order = tf.argsort(tf.where(keep, position, position + width), axis=1)[:, :k]
    kept = tf.gather(keep, order, batch_dims=1)
    scores = tf.where(kept, tf.gather(scores, order, batch_dims=1), NO_SCORE)
    item_ids = tf.where(kept, tf.gather(item_ids, order, batch_dims=1), spec.PAD_ID)
    padding = [[0, 0], [0, tf.maximum(k - width, 0)]]
    scores = tf.pad(scores, padding, constant_values=NO_SCORE)
    item_ids = tf.pad(item_ids, padding, constant_values=spec.PAD_ID)
    return tf.reshape(scores, [rows, k]), tf.reshape(item_ids, [rows, k])

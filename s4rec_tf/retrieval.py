"""The top-k index over item vectors: the one file that imports tensorflow_recommenders.

Everything here is TensorFlow graph code: it is traced into the exported SavedModel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s4rec_tf import spec

NO_SCORE = tf.float32.min
"""Score of an entry that is no item: the lowest finite float32, never NaN or -inf."""


class RetrievalError(RuntimeError):
    """An index that cannot be built: wrong environment or wrong vectors."""


def _factorized_top_k() -> Any:
    """The module `tensorflow_recommenders.layers.factorized_top_k`.

    Raises:
        RetrievalError: if it is not installed, or if TensorFlow was imported before
            `TF_USE_LEGACY_KERAS=1` was set, which tensorflow-recommenders requires.
    """
    try:
        from tensorflow_recommenders.layers import factorized_top_k
    except ImportError as error:
        raise RetrievalError(
            "tensorflow_recommenders cannot be imported. It needs the environment "
            "variable TF_USE_LEGACY_KERAS=1 before TensorFlow is imported: import "
            "s4rec_tf first, or set it in the shell. (The package is in the extra "
            f"[train].) Received: {error}"
        ) from error
    return factorized_top_k


class ExactIndex:
    """Exact maximum inner product search over all items.

    A plain object on purpose: it keeps the Keras 2 layer of tensorflow-recommenders out
    of the object graph of a SavedModel. Whoever exports `top` tracks `variables`.

    Attributes:
        num_items: V, the number of items.
    """

    def __init__(
        self, item_vectors: tf.Tensor, item_ids: tf.Tensor | None = None
    ) -> None:
        """Copies the vectors into the index.

        Args:
            item_vectors: float32 [V, d].
            item_ids: int32 [V], ascending; None means that row i is item i + 1.

        Raises:
            RetrievalError: if the vectors are not a finite matrix of at least one row.
        """
        vectors = _checked(item_vectors)
        self.num_items = int(vectors.shape[0])
        if item_ids is None:
            item_ids = tf.range(spec.PAD_ID + 1, self.num_items + 1, dtype=tf.int32)
        self._layer = _factorized_top_k().BruteForce().index(vectors, item_ids)

    @property
    def variables(self) -> list[tf.Variable]:
        """The index's tables."""
        return list(self._layer.variables)

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best items by inner product, ties in order of item id.

        Args:
            user_vectors: float32 [B, d].
            k: int32 scalar, at most V.

        Returns:
            scores float32 [B, k] in falling order, and item ids int32 [B, k].
        """
        scores, item_ids = self._layer(user_vectors, k=k)
        return scores, item_ids


class ScoredIndex:
    """Exact search where a score is no inner product: every item is scored.

    Attributes:
        num_items: V.
        variables: the index's tables.
    """

    def __init__(
        self,
        item_vectors: tf.Tensor,
        item_ids: tf.Tensor,
        pair_scores: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> None:
        """Copies the vectors into the index.

        Args:
            item_vectors: float32 [V, e].
            item_ids: int32 [V], ascending.
            pair_scores: scores [N, n] of vectors [N, 1, d] and [1, n, e].

        Raises:
            RetrievalError: as `ExactIndex`.
        """
        vectors = _checked(item_vectors)
        self.num_items = int(vectors.shape[0])
        self._vectors = tf.Variable(vectors, trainable=False, name="item_vectors")
        self._item_ids = tf.Variable(item_ids, trainable=False, name="item_ids")
        self._pair_scores = pair_scores
        self.variables = [self._vectors, self._item_ids]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best items by score, as `ExactIndex.top`."""
        # One row after the other: a pair may need much more memory than its score.
        scores = tf.map_fn(
            lambda user: self._pair_scores(
                user[tf.newaxis, tf.newaxis], self._vectors[tf.newaxis]
            )[0],
            user_vectors,
        )
        scores = tf.ensure_shape(scores, [None, self.num_items])
        best, rows = tf.math.top_k(scores, k)
        return best, tf.gather(self._item_ids, rows)


def _checked(item_vectors: tf.Tensor) -> tf.Tensor:
    vectors = tf.convert_to_tensor(item_vectors, tf.float32)
    if vectors.shape.rank != 2 or vectors.shape[0] == 0:
        raise RetrievalError(
            f"`item_vectors` must be [V, d] with V > 0. Received: {vectors.shape}"
        )
    if not bool(tf.reduce_all(tf.math.is_finite(vectors))):
        raise RetrievalError("`item_vectors` must be finite. Received: NaN or inf")
    return vectors


def candidates_needed(excluded: tf.Tensor, k: int, num_items: int) -> tf.Tensor:
    """How many candidates leave k after the excluded ones are dropped.

    Args:
        excluded: int32 [B, E] item ids; `PAD_ID` stands for none.
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


def drop_excluded(
    scores: tf.Tensor, item_ids: tf.Tensor, excluded: tf.Tensor, k: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the first k candidates that are not excluded, in their order.

    Args:
        scores: float32 [B, K].
        item_ids: int32 [B, K], best first; as many as `candidates_needed` says.
        excluded: int32 [B, E]; `PAD_ID` stands for none.
        k: width of the answer.

    Returns:
        scores float32 [B, k] and item ids int32 [B, k]. Where too few items remain the
        rest is `PAD_ID` with `NO_SCORE`.
    """
    rows, width = tf.shape(item_ids)[0], tf.shape(item_ids)[1]
    keep = tf.logical_not(is_member(item_ids, excluded))
    # Kept candidates first; within each group the order stands. Keys are distinct, so
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

"""The top-k index over item vectors: the one file that imports tensorflow_recommenders.

Everything here is TensorFlow graph code: it is traced into the exported SavedModel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.retrieval.grouped import GroupedTable
from s4rec_tf.retrieval.kinds import DEFAULT, IndexKind, RetrievalError
from s4rec_tf.retrieval.rows import ItemRows
from s4rec_tf.retrieval.scann_tree import ScannIndex
from s4rec_tf.retrieval.streaming import StreamingIndex
from s4rec_tf.retrieval.tables import FloatTable, make_table

PairScores = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Scores of user vectors [..., d] and item vectors [..., e], broadcast, -> [...]."""


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


class Index(Protocol):
    """Maximum inner product search over all items.

    A plain object on purpose: it keeps the Keras 2 layer of tensorflow-recommenders out
    of the object graph of a SavedModel. Whoever exports `top` tracks `trackables`.

    Attributes:
        num_items: V, the number of items.
        items: the vectors by themselves, by row.
        trackables: variables and modules that a SavedModel must track.
    """

    num_items: int
    items: ItemRows
    trackables: list[Any]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best items by inner product; of the exact kinds, ties by item id.

        Args:
            user_vectors: float32 [B, d].
            k: int32 scalar, at most V.

        Returns:
            scores float32 [B, k] in falling order, and item ids int32 [B, k]. An
            approximate kind may find fewer: the rest is `PAD_ID` with `NO_SCORE`.
        """


class GroupedIndex:
    """All scores in one product, the best of them found by groups."""

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, table_dtype: str
    ) -> None:
        """Copies float32 [V, d], the one `table_dtype`, and int32 [V] item ids."""
        self.num_items = int(vectors.shape[0])
        self._table = GroupedTable(vectors)
        self.items = ItemRows(self._table, tf.Variable(item_ids, trainable=False))
        self.trackables = self.items.trackables

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Index`."""
        scores, rows = self._table.top(user_vectors, k)
        return scores, self.items.ids_at(rows)


class ExactIndex:
    """All scores in one product, by tensorflow-recommenders' BruteForce."""

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, table_dtype: str
    ) -> None:
        """Copies float32 [V, d], as `table_dtype`, and int32 [V] item ids."""
        vectors = tf.cast(vectors, table_dtype)
        self.num_items = int(vectors.shape[0])
        self._layer = _factorized_top_k().BruteForce().index(vectors, item_ids)
        stored_ids, stored = self._layer.variables
        self.items = ItemRows(FloatTable(stored), stored_ids)
        self.trackables = [*self._layer.variables, *self.items.trackables]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Index`."""
        scores, item_ids = self._layer(user_vectors, k=k)
        return scores, item_ids


class ScoredIndex:
    """Exact search where a score is no inner product: every item is scored."""

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, pair_scores: PairScores
    ) -> None:
        """Copies float32 [V, e] and int32 [V] item ids; see `PairScores`."""
        self.num_items = int(vectors.shape[0])
        table = make_table(vectors, "float32")
        self.items = ItemRows(table, tf.Variable(item_ids, trainable=False))
        self._pair_scores = pair_scores
        self.trackables = self.items.trackables

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Index`."""
        every = self.items.vectors_at(tf.range(self.num_items))[tf.newaxis]
        # One row after the other: a pair may need much more memory than its score.
        scores = tf.map_fn(
            lambda user: self._pair_scores(user[tf.newaxis, tf.newaxis], every)[0],
            user_vectors,
        )
        scores = tf.ensure_shape(scores, [None, self.num_items])
        best, rows = tf.math.top_k(scores, k)
        return best, self.items.ids_at(rows)


_BUILDERS: dict[str, Callable[[tf.Tensor, tf.Tensor, str], Index]] = {
    "grouped": GroupedIndex,
    "exact": ExactIndex,
    "streaming": StreamingIndex,
    "scann": ScannIndex,
}


def build_index(
    item_vectors: tf.Tensor,
    item_ids: tf.Tensor | None = None,
    kind: IndexKind = DEFAULT,
    pair_scores: PairScores | None = None,
) -> Index:
    """The index of a kind over copies of the vectors.

    Args:
        item_vectors: float32 [V, d].
        item_ids: int32 [V], ascending; None means that row i is item i + 1.
        kind: how they are searched and stored.
        pair_scores: what scores are; inner products if None, else `kind` must be exact.

    Raises:
        RetrievalError: if the vectors are not a finite matrix of at least one row, the
            kind's package is not installed, or the kind needs dot products.
    """
    vectors = tf.convert_to_tensor(item_vectors, tf.float32)
    if vectors.shape.rank != 2 or vectors.shape[0] == 0:
        raise RetrievalError(
            f"`item_vectors` must be [V, d] with V > 0. Received: {vectors.shape}"
        )
    if not bool(tf.reduce_all(tf.math.is_finite(vectors))):
        raise RetrievalError("`item_vectors` must be finite. Received: NaN or inf")
    if item_ids is None:
        first = spec.PAD_ID + 1
        item_ids = tf.range(first, first + int(vectors.shape[0]), dtype=tf.int32)
    if pair_scores is None:
        return _BUILDERS[kind.name](vectors, item_ids, kind.table_dtype)
    if kind != DEFAULT:
        raise RetrievalError(
            f"a model whose score is no inner product needs the index {DEFAULT.name}. "
            f"Received: {kind.name} in {kind.table_dtype}"
        )
    return ScoredIndex(vectors, item_ids, pair_scores)

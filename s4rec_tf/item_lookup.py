"""Vectors of certain items, and the items most like one.

TensorFlow graph code, traced into the exported SavedModel, whatever the index.
"""

from __future__ import annotations

import tensorflow as tf


class ItemLookup:
    """Reads vectors by item id.

    A plain object, as the index is: whoever exports it tracks `variables`.

    Attributes:
        num_items: V, the number of items.
        variables: the tables.
    """

    def __init__(self, item_ids: tf.Variable, vectors: tf.Variable) -> None:
        """Takes int32 [V] item ids, ascending, and their vectors, float32 [V, d].

        An index that holds its vectors as they are can share them.
        """
        self.num_items = int(vectors.shape[0])
        self._item_ids, self._vectors = item_ids, vectors
        lengths = tf.norm(vectors, axis=1)
        self._inverse_lengths = tf.Variable(
            tf.math.divide_no_nan(1.0, lengths), trainable=False, name="inverse_lengths"
        )
        self.variables = [item_ids, vectors, self._inverse_lengths]

    def rows_of(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Where items lie in the tables.

        Args:
            item_ids: int32, any shape.

        Returns:
            int32 of that shape; -1 for an item that is not among them.
        """
        flat = tf.reshape(item_ids, [-1])
        row = tf.minimum(tf.searchsorted(self._item_ids, flat), self.num_items - 1)
        row = tf.where(tf.gather(self._item_ids, row) == flat, row, -1)
        return tf.reshape(row, tf.shape(item_ids))

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """float32 [..., d] for rows [...] of `rows_of`; zeros for row -1."""
        vectors = tf.gather(self._vectors, tf.maximum(rows, 0))
        return tf.where((rows >= 0)[..., tf.newaxis], vectors, 0.0)

    def similar(self, rows: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k items of the highest cosine to some items, ties in order of item id.

        Args:
            rows: int32 [B], see `rows_of`.
            k: int32 scalar, at most V.

        Returns:
            cosines float32 [B, k] in falling order, and item ids int32 [B, k].
        """
        lengths = tf.gather(self._inverse_lengths, tf.maximum(rows, 0))
        unit = self.vectors_at(rows) * lengths[:, tf.newaxis]
        products = tf.linalg.matmul(unit, self._vectors, transpose_b=True)
        cosines = products * self._inverse_lengths
        values, positions = tf.math.top_k(cosines, k=k)
        return values, tf.gather(self._item_ids, positions)

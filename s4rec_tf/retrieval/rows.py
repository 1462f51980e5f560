"""Items by row of an index: which there are, their vectors, and those alike."""

from __future__ import annotations

import tensorflow as tf

from s4rec_tf.retrieval.tables import ItemTable, gather, top_by_parts


class ItemRows:
    """The vectors of V items, in order of item id.

    Attributes:
        trackables: what a SavedModel must track.
    """

    def __init__(self, table: ItemTable, item_ids: tf.Variable) -> None:
        """Wraps a table; `item_ids` int32 [V], ascending, are those of its rows."""
        self._table, self._item_ids = table, item_ids
        self._num_items = int(item_ids.shape[0])
        self._inverse_lengths = tf.Variable(
            table.inverse_lengths(), trainable=False, name="inverse_lengths"
        )
        self.trackables = [*table.variables, item_ids, self._inverse_lengths]

    def ids_at(self, rows: tf.Tensor) -> tf.Tensor:
        """Item ids of rows, int32 of any shape."""
        return gather(self._item_ids, rows)

    def rows_of(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Rows of items in the table.

        Args:
            item_ids: int32, any shape.

        Returns:
            int32 of that shape; -1 for an item that is not there.
        """
        flat = tf.reshape(item_ids, [-1])
        row = tf.minimum(tf.searchsorted(self._item_ids, flat), self._num_items - 1)
        row = tf.where(gather(self._item_ids, row) == flat, row, -1)
        return tf.reshape(row, tf.shape(item_ids))

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """float32 [..., d] of rows [...]; zeros for row -1."""
        vectors = self._table.vectors_at(tf.maximum(rows, 0))
        return tf.where((rows >= 0)[..., tf.newaxis], vectors, 0.0)

    def similar(self, rows: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k items of the highest cosine to some items.

        Args:
            rows: int32 [B], see `rows_of`.
            k: int32 scalar, at most V.

        Returns:
            cosines float32 [B, k] in falling order, and item ids int32 [B, k].
        """
        lengths = gather(self._inverse_lengths, tf.maximum(rows, 0))
        unit = self.vectors_at(rows) * lengths[:, tf.newaxis]

        def cosines(start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
            products = self._table.scores(unit, start, end)
            return products * self._inverse_lengths[tf.newaxis, start:end]

        values, best = top_by_parts(cosines, tf.shape(unit)[0], self._num_items, k)
        return values, self.ids_at(best)

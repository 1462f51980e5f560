"""Exact top-k over a table that is read part by part.

The scores of a part are all that a query holds at once, B times `PART_ROWS`, where a
single product would hold B times V: 20 MB a row at five million items.
"""

from __future__ import annotations

import tensorflow as tf

from s4rec_tf.retrieval.rows import ItemRows
from s4rec_tf.retrieval.tables import make_table, top_by_parts


class StreamingIndex:
    """Exact maximum inner product search, in parts, over a table of any dtype.

    Exact over the table as it is stored: a coarser dtype moves the vectors themselves.

    Attributes:
        num_items: V.
        items: the vectors by themselves, by row.
        trackables: what a SavedModel must track.
    """

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, table_dtype: str
    ) -> None:
        """Stores float32 [V, d] as `table_dtype`, and int32 [V] item ids."""
        self.num_items = int(vectors.shape[0])
        self._table = make_table(vectors, table_dtype)
        stored_ids = tf.Variable(item_ids, trainable=False, name="item_ids")
        self.items = ItemRows(self._table, stored_ids)
        self.trackables = self.items.trackables

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `retrieval.Index`."""
        scores, best = top_by_parts(
            lambda start, end: self._table.scores(user_vectors, start, end),
            tf.shape(user_vectors)[0],
            self.num_items,
            k,
        )
        return scores, self.items.ids_at(best)

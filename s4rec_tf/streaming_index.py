"""Exact top-k over a table that is read part by part.

The scores of a part are all that a query holds at once, B times `PART_ROWS`, where a
single product would hold B times V: 20 MB a row at five million items.
"""

from __future__ import annotations

import tensorflow as tf

from s4rec_tf import item_tables

PART_ROWS = 32_768
"""Items scored at a time; 8 MB of float32 at d = 64."""


class StreamingIndex:
    """Exact maximum inner product search, in parts, over a table of any dtype.

    Exact over the table as it is stored: a coarser dtype moves the vectors themselves.

    Attributes:
        num_items: V.
        trackables: what a SavedModel must track.
    """

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, table_dtype: str
    ) -> None:
        """Stores float32 [V, d] as `table_dtype`, and int32 [V] item ids."""
        self.num_items = int(vectors.shape[0])
        self._table = item_tables.make_table(vectors, table_dtype)
        self._item_ids = tf.Variable(item_ids, trainable=False, name="item_ids")
        self.trackables = [*self._table.variables, self._item_ids]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `retrieval.Index`."""
        rows = tf.shape(user_vectors)[0]

        def is_left(start: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return start < self.num_items

        def read_part(
            start: tf.Tensor, scores: tf.Tensor, best: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            end = tf.minimum(start + PART_ROWS, self.num_items)
            part_scores, part = tf.math.top_k(
                self._table.scores(user_vectors, start, end),
                tf.minimum(k, end - start),
            )
            # Earlier parts stand first: ties go to the lower row, as in one product.
            scores = tf.concat([scores, part_scores], axis=1)
            best = tf.concat([best, part + start], axis=1)
            scores, order = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
            return end, scores, tf.gather(best, order, batch_dims=1)

        wide = tf.TensorShape([None, None])
        _, scores, best = tf.while_loop(
            is_left,
            read_part,
            (tf.constant(0), tf.zeros([rows, 0]), tf.zeros([rows, 0], tf.int32)),
            shape_invariants=(tf.TensorShape([]), wide, wide),
        )
        return scores, tf.gather(self._item_ids, best)

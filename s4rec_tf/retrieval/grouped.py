"""Item vectors laid out so that the best of all scores are found by groups.

TensorFlow's top-k reads every score with a branch. The largest score of each group of m
items is found without one, and the k best items lie in the k groups with the largest
such scores; only those groups' items are then compared one by one.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

_USUAL_K = 50
"""Size m at which selecting among V / m groups and among k m items cost alike."""


class GroupedTable:
    """Float32 vectors of V items in G groups of m; an `ItemTable`.

    Item row r is member r % m of group r // m. The last group is filled up by its own
    first item.

    Attributes:
        variables: what a SavedModel must track.
    """

    def __init__(self, vectors: tf.Tensor) -> None:
        """Copies float32 [V, d]."""
        self._num_items = int(vectors.shape[0])
        self._size = group_size(self._num_items)
        self._num_groups = math.ceil(self._num_items / self._size)
        rows = np.arange(self._num_groups * self._size)
        rows[self._num_items :] = (self._num_groups - 1) * self._size
        by_group = tf.reshape(
            tf.gather(vectors, rows), [self._num_groups, self._size, -1]
        )
        # [d, m, G]: the same member of all groups lies side by side.
        self._columns = tf.Variable(
            tf.transpose(by_group, [2, 1, 0]), trainable=False, name="item_columns"
        )
        self.variables = [self._columns]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best items by inner product, ties by row.

        Ties come out as they would of one selection: among groups whose best are equal
        the first is taken, and its best comes before every item of the others.

        Args:
            user_vectors: float32 [B, d].
            k: int32 scalar, at most V.

        Returns:
            scores float32 [B, k] in falling order, and rows int32 [B, k].
        """
        size, num_groups = self._size, self._num_groups
        num_users = tf.shape(user_vectors)[0]
        scores = self._products(user_vectors, self._columns)
        if size == 1:
            return tf.math.top_k(scores[:, 0], k)
        best_of_group = tf.reduce_max(scores, axis=1)
        _, groups = tf.math.top_k(best_of_group, tf.minimum(k, num_groups))
        groups = tf.sort(groups, axis=1)
        members = tf.range(size)
        places = members * num_groups + groups[:, :, tf.newaxis]
        flat = tf.reshape(scores, [num_users, size * num_groups])
        # Not numbered over all users: that exceeds int32 where both are many.
        candidates = tf.gather(flat, places, batch_dims=1)
        rows = groups[:, :, tf.newaxis] * size + members
        candidates = tf.where(rows < self._num_items, candidates, tf.float32.min)
        best, order = tf.math.top_k(tf.reshape(candidates, [num_users, -1]), k)
        rows = tf.reshape(rows, [num_users, -1])
        return best, tf.gather(rows, order, batch_dims=1)

    def scores(
        self, user_vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """See `ItemTable`; `start` must be a multiple of m, as those of parts are."""
        part = self._columns[:, :, start // self._size : -(-end // self._size)]
        by_row = tf.transpose(self._products(user_vectors, part), [0, 2, 1])
        flat = tf.reshape(by_row, [tf.shape(by_row)[0], -1])
        return flat[:, : end - start]

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """See `ItemTable`."""
        flat = tf.reshape(rows, [-1])
        places = flat % self._size * self._num_groups + flat // self._size
        depth = self._columns.shape[0]
        columns = tf.gather(tf.reshape(self._columns, [depth, -1]), places, axis=1)
        shape = tf.concat([tf.shape(rows), [depth]], axis=0)
        return tf.reshape(tf.transpose(columns), shape)

    def inverse_lengths(self) -> tf.Tensor:
        """See `ItemTable`."""
        lengths = tf.transpose(tf.norm(self._columns, axis=0))
        return tf.math.divide_no_nan(1.0, tf.reshape(lengths, [-1])[: self._num_items])

    def _products(self, user_vectors: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """[B, m, g] of users [B, d] and columns [d, m, g]."""
        flat = tf.reshape(columns, [columns.shape[0], -1])
        # Transposed like this, a product reads the items as they lie.
        products = tf.matmul(user_vectors, flat)
        return tf.reshape(products, [-1, self._size, tf.shape(columns)[2]])


def group_size(num_items: int) -> int:
    """The power of two next to sqrt(V / 50)."""
    return 2 ** max(round(math.log2(num_items / _USUAL_K) / 2), 0)

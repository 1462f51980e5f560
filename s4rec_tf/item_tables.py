"""Item vectors in float32, bfloat16 or int8, read back as float32 a part at a time.

TensorFlow graph code, traced into the exported SavedModel. Needs no custom operation.
"""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf

_INT8_MAX = 127.0


class ItemTable(Protocol):
    """Vectors of V items.

    Attributes:
        variables: what a SavedModel must track.
    """

    variables: list[tf.Variable]

    def scores(
        self, user_vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """Inner products float32 [B, end - start] with the rows `start` to `end`."""


class FloatTable:
    """Vectors as float32 or bfloat16, which halves them."""

    def __init__(self, vectors: tf.Tensor, dtype: tf.DType) -> None:
        """Stores float32 [V, d] as `dtype`."""
        self._vectors = _variable(tf.cast(vectors, dtype), "item_vectors")
        self.variables = [self._vectors]

    def scores(
        self, user_vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """See `ItemTable`."""
        part = tf.cast(self._vectors[start:end], tf.float32)
        return tf.matmul(user_vectors, part, transpose_b=True)


class Int8Table:
    """Vectors as int8, each row with a float32 scale: a quarter of float32."""

    def __init__(self, vectors: tf.Tensor) -> None:
        """Rounds float32 [V, d] to 255 levels between a row's extremes."""
        extreme = tf.reduce_max(tf.abs(vectors), axis=1)
        # A row of zeros has no scale; any will do.
        scale = tf.where(extreme > 0, extreme / _INT8_MAX, 1.0)
        levels = tf.cast(tf.round(vectors / scale[:, tf.newaxis]), tf.int8)
        self._levels = _variable(levels, "item_levels")
        self._scale = _variable(scale, "item_scale")
        self.variables = [self._levels, self._scale]

    def scores(
        self, user_vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """See `ItemTable`."""
        part = tf.cast(self._levels[start:end], tf.float32)
        products = tf.matmul(user_vectors, part, transpose_b=True)
        return products * self._scale[tf.newaxis, start:end]


def make_table(vectors: tf.Tensor, table_dtype: str) -> ItemTable:
    """The table of a dtype.

    Args:
        vectors: float32 [V, d].
        table_dtype: float32, bfloat16 or int8.
    """
    if table_dtype == "int8":
        return Int8Table(vectors)
    return FloatTable(vectors, tf.as_dtype(table_dtype))


def _variable(value: tf.Tensor, name: str) -> tf.Variable:
    return tf.Variable(value, trainable=False, name=name)

"""Item vectors in float32, bfloat16 or int8, read back as float32 a part at a time.

TensorFlow graph code, traced into the exported SavedModel. Needs no custom operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

PART_ROWS = 32_768
"""Items read at a time; 8 MB of float32 at d = 64."""

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

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """Vectors float32 [..., d] of rows, int32 [...]."""

    def inverse_lengths(self) -> tf.Tensor:
        """1 over the vectors' Euclidean lengths, float32 [V]; 0 where that is 0."""


class FloatTable:
    """Vectors as float32 or bfloat16, which halves them."""

    def __init__(self, vectors: tf.Variable) -> None:
        """Stores the vectors [V, d]."""
        self._vectors = vectors
        self.variables = [vectors]

    def scores(
        self, user_vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """See `ItemTable`."""
        part = tf.cast(self._vectors[start:end], tf.float32)
        return tf.matmul(user_vectors, part, transpose_b=True)

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """See `ItemTable`."""
        return tf.cast(gather(self._vectors, rows), tf.float32)

    def inverse_lengths(self) -> tf.Tensor:
        """See `ItemTable`."""
        return _inverse_lengths(self, int(self._vectors.shape[0]))


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

    def vectors_at(self, rows: tf.Tensor) -> tf.Tensor:
        """See `ItemTable`."""
        levels = tf.cast(gather(self._levels, rows), tf.float32)
        return levels * gather(self._scale, rows)[..., tf.newaxis]

    def inverse_lengths(self) -> tf.Tensor:
        """See `ItemTable`."""
        return _inverse_lengths(self, int(self._scale.shape[0]))


def make_table(vectors: tf.Tensor, table_dtype: str) -> ItemTable:
    """The table of a dtype.

    Args:
        vectors: float32 [V, d].
        table_dtype: float32, bfloat16 or int8.
    """
    if table_dtype == "int8":
        return Int8Table(vectors)
    return FloatTable(_variable(tf.cast(vectors, table_dtype), "item_vectors"))


def gather(variable: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    """Rows of a variable, read as a tensor.

    A lookup in the variable itself makes TensorFlow copy all of it at every later read.
    """
    return tf.gather(tf.convert_to_tensor(variable), rows)


def _variable(value: tf.Tensor, name: str) -> tf.Variable:
    return tf.Variable(value, trainable=False, name=name)


def _inverse_lengths(table: ItemTable, num_items: int) -> tf.Tensor:
    parts = []
    for start in range(0, num_items, PART_ROWS):
        rows = tf.range(start, min(start + PART_ROWS, num_items))
        parts.append(tf.norm(table.vectors_at(rows), axis=1))
    return tf.math.divide_no_nan(1.0, tf.concat(parts, axis=0))


def top_by_parts(
    scores_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    num_rows: tf.Tensor,
    num_items: int,
    k: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The k best items of every row, without holding all scores at once.

    Args:
        scores_of: start and end of a part -> float32 [B, end - start].
        num_rows: B.
        num_items: V.
        k: int32 scalar, at most V.

    Returns:
        scores float32 [B, k] in falling order, and rows of items int32 [B, k].
    """

    def is_left(start: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return start < num_items

    def read_part(
        start: tf.Tensor, scores: tf.Tensor, best: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        end = tf.minimum(start + PART_ROWS, num_items)
        part_scores, part = tf.math.top_k(
            scores_of(start, end), tf.minimum(k, end - start)
        )
        # Earlier parts come first: ties go to the lower row, as in one product.
        scores = tf.concat([scores, part_scores], axis=1)
        best = tf.concat([best, part + start], axis=1)
        scores, order = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
        return end, scores, tf.gather(best, order, batch_dims=1)

    wide = tf.TensorShape([None, None])
    empty = (tf.zeros([num_rows, 0]), tf.zeros([num_rows, 0], tf.int32))
    _, scores, best = tf.while_loop(
        is_left,
        read_part,
        (tf.constant(0), *empty),
        shape_invariants=(tf.TensorShape([]), wide, wide),
    )
    return scores, best

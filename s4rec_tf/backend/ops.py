"""Operations that `keras.ops` lacks, or that a backend has a faster form of."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras

from s4rec_tf.backend.compile import IS_TENSORFLOW

Tensor = Any

_LEAST_SQUARE = 1e-12
_ROWS_MULTIPLE = 256


def l2_normalize(vectors: Tensor) -> Tensor:
    """Divides vectors [..., d] by their length; zero vectors stay zero.

    On some backends Keras' own `normalize` has no finite gradient there.
    """
    square = keras.ops.sum(keras.ops.square(vectors), axis=-1, keepdims=True)
    return vectors * keras.ops.rsqrt(keras.ops.maximum(square, _LEAST_SQUARE))


def product(
    a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    """Product of matrices [..., n, m], either taken with its last axes exchanged.

    With these arguments TensorFlow makes no transposed copy, as it does in bfloat16
    for a separate transposition.
    """
    if IS_TENSORFLOW:
        import tensorflow as tf

        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    a = keras.ops.swapaxes(a, -2, -1) if transpose_a else a
    b = keras.ops.swapaxes(b, -2, -1) if transpose_b else b
    return keras.ops.matmul(a, b)


def split_rows(tensor: Tensor, num_rows: int) -> list[Tensor]:
    """Cuts [B, ...] into equal parts of about `num_rows` rows.

    A batch whose size is not known in the graph stays in one part.
    """
    num_parts = max(round((tensor.shape[0] or num_rows) / num_rows), 1)
    batch_size = keras.ops.shape(tensor)[0]
    ends = [batch_size * part // num_parts for part in range(num_parts + 1)]
    return [tensor[start:end] for start, end in itertools.pairwise(ends)]


def split_sizes(tensor: Tensor, sizes: list[Tensor]) -> list[Tensor]:
    """Cuts [N, ...] into parts of the given numbers of rows, which add up to N.

    Its gradient lays the parts' gradients end to end; slices' would be padded to N rows
    each, and added.
    """
    if IS_TENSORFLOW:
        import tensorflow as tf

        return list(tf.split(tensor, tf.stack(sizes), num=len(sizes)))
    ends = list(itertools.accumulate(sizes))
    return list(keras.ops.split(tensor, ends[:-1]))


def trim_padding(item_ids: Tensor, num_columns: int) -> Tensor:
    """Leaves out the columns that are padding in every row.

    Args:
        item_ids: int32 [B, L], left-padded.
        num_columns: how many of the last columns stay in any case.

    Returns:
        [B, l], l <= L; where shapes may not depend on data, `item_ids` itself.
    """
    if not IS_TENSORFLOW:
        return item_ids
    import tensorflow as tf

    longest = tf.reduce_max(tf.math.count_nonzero(item_ids, axis=1, dtype=tf.int32))
    width = tf.shape(item_ids)[1]
    return item_ids[:, width - tf.maximum(longest, num_columns) :]


def gather_rows(table: Tensor, rows: Tensor, sparse_gradients: bool = False) -> Tensor:
    """Rows of a table, with a dense gradient.

    TensorFlow's own gradient of a lookup lists rows, repeated ones too; added to a
    dense gradient of the same table it may stay a list, on which optimizers are slow.

    Args:
        table: [V, d].
        rows: indices, int32 [...].
        sparse_gradients: whether the gradient is TensorFlow's own list of rows, for an
            optimizer that makes use of it. Needs a variable, which is copied if
            anything else reads the whole of it in a step.

    Returns:
        [..., d].
    """
    if not IS_TENSORFLOW:
        return keras.ops.take(table, rows, axis=0)
    import tensorflow as tf

    if sparse_gradients:
        return tf.gather(table, rows)

    num_rows = table.shape[0]

    @tf.custom_gradient
    def lookup(values: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def gradient(upstream: Tensor) -> Tensor:
            return tf.math.unsorted_segment_sum(upstream, rows, num_rows)

        return tf.gather(values, rows), gradient

    return lookup(tf.convert_to_tensor(table))


def rows_with_target(states: Tensor, target_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Leaves out the positions without a target, before anything as wide as V is made.

    Args:
        states: [B, T, d].
        target_ids: int32 [B, T]; `PAD_ID` 0 where a position has no target.

    Returns:
        states [N, d] and target ids [N]. With T = 1 nothing is left out. Elsewhere N is
        rounded up with rows without a target, so that few shapes are compiled; where
        shapes may not depend on data, N is B T.
    """
    num_positions = target_ids.shape[1]
    flat_states = keras.ops.reshape(states, (-1, states.shape[-1]))
    flat_targets = keras.ops.reshape(target_ids, (-1,))
    if num_positions == 1 or not IS_TENSORFLOW:
        return flat_states, flat_targets
    import tensorflow as tf

    has_target = tf.not_equal(flat_targets, 0)
    chosen = tf.boolean_mask(flat_states, has_target)
    targets = tf.boolean_mask(flat_targets, has_target)
    missing = -tf.shape(targets)[0] % _ROWS_MULTIPLE
    return tf.pad(chosen, [[0, missing], [0, 0]]), tf.pad(targets, [[0, missing]])

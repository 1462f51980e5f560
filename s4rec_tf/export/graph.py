"""Parts of the exported graph that do not depend on a model."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from s4rec_tf import spec

_LARGEST_CONSTANT = 1 << 20
"""Bytes of a weight that is written into the graph; larger ones stay variables."""


def compact_left_padded(item_ids: tf.Tensor, length: int) -> tf.Tensor:
    """Moves real items to the right in their order and keeps the last `length`.

    Example: `[[3, 0, 0, 7]]` with length 3 -> `[[0, 3, 7]]`.

    Args:
        item_ids: int32 [B, W]; `PAD_ID` anywhere is no item.
        length: L.

    Returns:
        int32 [B, L], left-padded with `PAD_ID`.
    """
    item_ids = tf.pad(item_ids, [[0, 0], [length, 0]], constant_values=spec.PAD_ID)
    width = tf.shape(item_ids)[1]
    position = tf.range(width)[tf.newaxis, :]
    key = tf.where(item_ids != spec.PAD_ID, position + width, position)
    order = tf.argsort(key, axis=1)[:, -length:]
    packed = tf.gather(item_ids, order, batch_dims=1)
    return tf.ensure_shape(packed, [None, length])


def split_by_size(
    variables: list[keras.Variable],
) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """Those that may be constants, and the others."""
    parts: tuple[list[keras.Variable], list[keras.Variable]] = ([], [])
    for variable in variables:
        parts[variable.numpy().nbytes > _LARGEST_CONSTANT].append(variable)
    return parts


def with_constants(
    function: Callable[..., tf.Tensor], variables: list[keras.Variable]
) -> Callable[..., tf.Tensor]:
    """The function with some of its weights as constants of the graph.

    A server then computes once what follows from them alone, and reads no variable at
    every call: in small batches an operation costs more than what it computes.
    """
    values = [variable.numpy() for variable in variables]

    @tf.function(autograph=False)
    def fixed(*args: tf.Tensor) -> tf.Tensor:
        constants = [tf.constant(value) for value in values]
        mapping = list(zip(variables, constants, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*args)

    return fixed

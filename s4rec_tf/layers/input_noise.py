"""Random changes of training sequences, inside the compiled step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf import spec
from s4rec_tf.layers import masks

Tensor = Any


def mask_items(item_ids: Tensor, mask_prob: float, seed: Any) -> Tensor:
    """Replaces a share of the items, the last column apart, by `MASK_ID`.

    Args:
        item_ids: int32 [B, L], left-padded.
        mask_prob: probability that an item is masked.
        seed: a seed generator.

    Returns:
        int32 [B, L]; other items are masked at every call.
    """
    draw = keras.random.uniform(ops.shape(item_ids), seed=seed)
    width = item_ids.shape[1]
    may_mask = ops.logical_and(masks.is_real(item_ids), ops.arange(width) < width - 1)
    is_masked = ops.logical_and(may_mask, draw < mask_prob)
    return ops.where(is_masked, spec.MASK_ID, item_ids)


def repeated(item_ids: Tensor, noise: Tensor) -> Tensor:
    """Each history one to L // n times in a row, n its length, all numbers as likely.

    Args:
        item_ids: int32 [B, L], left-padded.
        noise: decides how often, in [0, 1), [B, 1].
    """
    width = item_ids.shape[1]
    is_real = ops.cast(masks.is_real(item_ids), "int32")
    lengths = ops.maximum(ops.sum(is_real, axis=1, keepdims=True), 1)
    most = width // lengths
    times = 1 + ops.minimum(
        ops.cast(noise * ops.cast(most, noise.dtype), "int32"), most - 1
    )
    from_end = width - 1 - ops.arange(width, dtype="int32")[None, :]
    columns = width - 1 - from_end % lengths
    found = ops.take_along_axis(item_ids, columns, axis=1)
    return ops.where(from_end < times * lengths, found, spec.PAD_ID)

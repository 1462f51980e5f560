"""Spares the encoder the padding inside a randomly drawn batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from s4rec_tf import backend
from s4rec_tf.layers import masks

Tensor = Any


def encode_by_length(
    embed: Callable[[Tensor], Tensor],
    encode: Callable[[Tensor, Tensor], Tensor],
    item_ids: Tensor,
    num_positions: int,
    num_buckets: int,
) -> Tensor:
    """Encodes rows of like length together and puts the states back in order.

    The rows are sorted by length and cut into buckets, each encoded at the length of
    its longest row. Half of the rows, the shortest, are the first bucket, half of the
    rest the second, and so on: lengths have a long tail, so few rows should pay for it.
    What is returned is what `encode` gives for the whole batch, but for states at
    padding, which are zero here.

    Args:
        embed: maps int32 [n, m] to vectors [n, m, d]; called once.
        encode: maps vectors [b, l, d] and int32 [b, l] to states [b, l, d]; l <= L.
        item_ids: int32 [B, L], left-padded.
        num_positions: T, how many of the last positions are wanted.
        num_buckets: into how many buckets the batch is cut; 1 encodes it as it stands,
            and so do backends whose shapes may not depend on data.

    Returns:
        states of the last T positions, [B, T, d], in the order of `item_ids`.
    """
    max_length = item_ids.shape[1]
    if num_buckets == 1 or not backend.IS_TENSORFLOW:
        states = encode(embed(item_ids), item_ids)
        return states[:, max_length - num_positions :]
    lengths = ops.sum(ops.cast(masks.is_real(item_ids), "int32"), axis=1)
    order = ops.argsort(lengths)
    buckets = _cut(item_ids, lengths, order, num_buckets)
    vectors = embed(ops.concatenate([ops.reshape(ids, (1, -1)) for ids in buckets], 1))
    states, start = [], 0
    for ids in buckets:
        shape = ops.shape(ids)
        end = start + shape[0] * shape[1]
        bucket = ops.reshape(vectors[0, start:end], (*shape, vectors.shape[-1]))
        encoded = encode(bucket, ids)[:, -num_positions:]
        missing = num_positions - ops.shape(encoded)[1]
        states.append(ops.pad(encoded, ((0, 0), (missing, 0), (0, 0))))
        start = end
    restored = ops.take(ops.concatenate(states), ops.argsort(order), axis=0)
    return ops.reshape(restored, (-1, num_positions, vectors.shape[-1]))


def _cut(
    item_ids: Tensor, lengths: Tensor, order: Tensor, num_buckets: int
) -> list[Tensor]:
    """The rows in `order`, each bucket without the padding that all its rows have."""
    max_length, batch_size = item_ids.shape[1], ops.shape(item_ids)[0]
    buckets, start = [], 0
    for bucket in range(num_buckets):
        is_last = bucket == num_buckets - 1
        end = batch_size if is_last else (start + batch_size) // 2
        rows, start = order[start:end], end
        # A batch smaller than the number of buckets leaves some empty, of length 1.
        longest = ops.max(ops.take(lengths, rows), initial=1)
        buckets.append(ops.take(item_ids, rows, axis=0)[:, max_length - longest :])
    return buckets

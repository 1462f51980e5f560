"""Packing of sequences, so that the encoder computes no padding.

Sequences of many lengths are laid end to end in chunks as wide as the longest may be,
each whole inside one chunk; attention stays inside a sequence by its segment number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from s4rec_tf import spec
from s4rec_tf.layers import masks

Tensor = Any


_MANY_ROWS = 1 << 16
"""Bound on the rows of a batch whose size is not known when it is traced."""


class Packing(NamedTuple):
    """Layout of the items of B sequences in G chunks of C slots.

    Attributes:
        item_ids: int32 [G, C]; `PAD_ID` in an empty slot.
        positions: column that the item had in its left-padded row, int32 [G, C].
        segments: number of its row, from 1, or 0 in an empty slot, int32 [G, C].
        slots: slot, among all G C, of every position of every row, int32 [B, L]; 0 at
            padding.
    """

    item_ids: Tensor
    positions: Tensor
    segments: Tensor
    slots: Tensor


class PackedBatch(NamedTuple):
    """Embedded sequences, laid out in G chunks of C slots.

    Layers that encode it return flat rows [G C, d], a row a slot; those of empty slots
    are arbitrary.

    Attributes:
        vectors: float [G, C, d].
        positions: column of each item in a left-padded row of width L, int32 [G, C].
        segments: number of each slot's sequence, from 1, or 0 in an empty slot, int32
            [G, C].
    """

    vectors: Tensor
    positions: Tensor
    segments: Tensor

    def rows(self) -> Tensor:
        """The vectors as flat rows [G C, d]."""
        return ops.reshape(self.vectors, (-1, self.vectors.shape[-1]))


def in_place(item_ids: Tensor, max_length: int) -> Packing:
    """Every row its own chunk, in a form like that of `pack`.

    Args:
        item_ids: int32 [B, l], left-padded, l <= L.
        max_length: L.
    """
    batch, length = ops.shape(item_ids)[0], ops.shape(item_ids)[1]
    columns = ops.arange(length, dtype="int32")
    positions = ops.zeros_like(item_ids) + columns + (max_length - length)
    segments = ops.cast(masks.is_real(item_ids), "int32")
    slots = ops.arange(batch, dtype="int32")[:, None] * length + columns[None, :]
    return Packing(item_ids, positions, segments, slots)


def pack(item_ids: Tensor) -> Packing:
    """Packs rows into chunks of L slots, the longest first, each where there is room.

    The number of chunks is rounded up, by an eighth at most, so that few shapes are
    compiled. It depends on the data: only for backends that allow this.

    Args:
        item_ids: int32 [B, L], left-padded.
    """
    length = item_ids.shape[1]
    is_real = masks.is_real(item_ids)
    lengths = ops.sum(ops.cast(is_real, "int32"), axis=1)
    chunks, starts = _next_fit(lengths, length)
    num_slots = length * _rounded_up(ops.max(chunks, initial=0) + 1)
    # Where column 0 would lie: the row's real items are its last ones.
    first = chunks * length + starts - (length - lengths)
    columns = ops.arange(length, dtype="int32")
    slots = first[:, None] + columns[None, :]
    elements = ops.cumsum(ops.ones_like(ops.reshape(item_ids, (-1,))))
    targets = ops.reshape(ops.where(is_real, slots, num_slots), (-1, 1))
    sources = ops.scatter(targets, elements, (num_slots + 1,))[:-1]
    rows = ops.maximum(sources - 1, 0)
    chosen = ops.take(ops.reshape(item_ids, (-1,)), rows)
    is_filled = sources > 0
    return Packing(
        _chunked(ops.where(is_filled, chosen, spec.PAD_ID), length),
        _chunked(rows % length, length),
        _chunked(ops.where(is_filled, rows // length + 1, 0), length),
        ops.where(is_real, slots, 0),
    )


def _chunked(values: Tensor, length: int) -> Tensor:
    return ops.reshape(values, (-1, length))


def _rounded_up(num_chunks: Tensor) -> Tensor:
    """The next number whose binary form has at most four leading digits."""
    sizes = np.arange(1, 9)
    while sizes[-1] < 2**20:
        sizes = np.concatenate([sizes, 2 * sizes[sizes > sizes[-1] // 2]])
    found = ops.searchsorted(
        ops.convert_to_tensor(sizes, "int32"), ops.reshape(num_chunks, (1,))
    )
    return ops.take(ops.convert_to_tensor(sizes, "int32"), found)[0]


def _next_fit(lengths: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """Fills chunk after chunk, the longest rows first, without looking back.

    Which rows begin a chunk follows from which row would begin the next if a given one
    began a chunk, by doubling: no step waits for the one before.

    Args:
        lengths: int32 [B], none above the capacity.
        capacity: slots of a chunk.

    Returns:
        the chunk of every row and its first slot in there, int32 [B] each.
    """
    order = ops.argsort(-lengths)
    ends = ops.cumsum(ops.take(lengths, order))
    begins = ends - ops.take(lengths, order)
    following = ops.searchsorted(ends, begins + capacity, side="right")
    # One more row marks the end, which follows itself.
    num_rows = ops.shape(lengths)[0]
    following = ops.pad(ops.cast(following, "int32"), (0, 1), constant_values=num_rows)
    numbers = ops.arange(num_rows + 1, dtype="int32")
    is_first = ops.cast(numbers == 0, "int32")
    for _ in range((lengths.shape[0] or _MANY_ROWS).bit_length()):
        is_first = ops.scatter_update(
            is_first, following[:, None], is_first, reduction="max"
        )
        following = ops.take(following, following)
    firsts = ops.sort(ops.where(is_first > 0, numbers, num_rows))
    chunks = ops.cast(ops.searchsorted(firsts, numbers[:-1], side="right"), "int32") - 1
    starts = begins - ops.take(begins, ops.take(firsts, chunks))
    back = ops.argsort(order)
    return ops.take(chunks, back), ops.take(starts, back)

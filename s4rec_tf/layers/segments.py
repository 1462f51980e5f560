"""Contiguous parts of sequences: cut out, exchanged, replaced by others'.

Pure functions of item ids int32 [B, L], left-padded, with one real item at least, and
of noise in [0, 1), so that equal noise gives equal results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from s4rec_tf import spec
from s4rec_tf.layers import masks

Tensor = Any


class Segment(NamedTuple):
    """A part of every row.

    Attributes:
        first: column of its first item, int32 [B, 1].
        width: number of its items, int32 [B, 1].
    """

    first: Tensor
    width: Tensor

    def is_inside(self, item_ids: Tensor) -> Tensor:
        """True for its items, bool [B, L]."""
        columns = _columns(item_ids)
        is_behind = ops.greater_equal(columns, self.first)
        return ops.logical_and(is_behind, columns < self.first + self.width)


def draw_segment(
    item_ids: Tensor, width_noise: Tensor, place_noise: Tensor, narrowest: int = 1
) -> Segment:
    """A part of at most half of the items, or as many as `narrowest`.

    Args:
        item_ids: int32 [B, L].
        width_noise: decides how many items, all numbers equally likely, [B, 1].
        place_noise: decides where, all places equally likely, [B, 1].
        narrowest: least number of items; shorter sequences are taken whole.
    """
    lengths = ops.sum(ops.cast(masks.is_real(item_ids), "int32"), axis=1, keepdims=True)
    widest = ops.maximum(lengths // 2, narrowest)
    width = narrowest + _below(width_noise, widest - narrowest + 1)
    width = ops.minimum(width, lengths)
    first = item_ids.shape[1] - lengths + _below(place_noise, lengths - width + 1)
    return Segment(first, width)


def last_items(item_ids: Tensor, noise: Tensor, most: int) -> Tensor:
    """The last items of each sequence, one to `most`, all numbers equally likely.

    Args:
        item_ids: int32 [B, L].
        noise: decides how many, [B, 1].
        most: at least 1; shorter sequences may stay whole.
    """
    count = 1 + _below(noise, ops.full_like(item_ids[:, :1], most))
    is_kept = _columns(item_ids) >= item_ids.shape[1] - count
    return ops.where(is_kept, item_ids, spec.PAD_ID)


def hide(item_ids: Tensor, segment: Segment) -> Tensor:
    """The sequence with `MASK_ID` in the place of the segment's items."""
    return ops.where(segment.is_inside(item_ids), spec.MASK_ID, item_ids)


def alone(item_ids: Tensor, segment: Segment) -> Tensor:
    """The segment as a sequence of its own, left-padded."""
    length = item_ids.shape[1]
    columns = _columns(item_ids)
    source = columns - (length - segment.width) + segment.first
    source = ops.minimum(ops.maximum(source, 0), length - 1)
    moved = ops.take_along_axis(item_ids, source, axis=1)
    return ops.where(columns >= length - segment.width, moved, spec.PAD_ID)


def exchange_halves(item_ids: Tensor, segment: Segment) -> Tensor:
    """The sequence with the first half of the segment behind its second half."""
    columns = _columns(item_ids)
    half = ops.maximum(segment.width, 1) // 2
    rank = (columns - segment.first + half) % ops.maximum(segment.width, 1)
    source = ops.where(segment.is_inside(item_ids), segment.first + rank, columns)
    return ops.take_along_axis(item_ids, source, axis=1)


def replace(item_ids: Tensor, segment: Segment, others: Tensor) -> Tensor:
    """The sequence with other sequences' items in the segment, column by column.

    Args:
        item_ids: int32 [B, L].
        segment: where.
        others: int32 [B, L]; where it holds no item, the own one stays.
    """
    comes = ops.logical_and(segment.is_inside(item_ids), masks.is_real(others))
    return ops.where(comes, others, item_ids)


def _columns(item_ids: Tensor) -> Tensor:
    columns = ops.arange(item_ids.shape[1], dtype="int32")
    return ops.zeros_like(item_ids) + columns[None, :]


def _below(noise: Tensor, count: Tensor) -> Tensor:
    """A uniform whole number below `count`, int32 [B, 1], of noise in [0, 1)."""
    drawn = ops.cast(noise * ops.cast(count, noise.dtype), "int32")
    return ops.minimum(drawn, count - 1)

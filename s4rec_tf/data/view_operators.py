"""The operators of views: mask, crop, reorder, insert (S4Rec, Eqs. 15-18), substitute.

`substitute` is CoSeRec's. Pure functions of item ids and noise, with static shapes:
they run inside `tf.data` and inside a compiled step alike. `item_ids` is int32 [B, L],
left-padded with `PAD_ID`; so is every result.

Counts are rounded to the nearest whole number (halves up) and then clipped so that a
view differs from its sequence and is never empty: with counts rounded down, sequences
under ten items would be reordered into themselves and cropped to a single item. A
sequence of one item passes through every operator; one without items stays padding.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import spec

Tensor = Any


def mask(item_ids: Tensor, order_noise: Tensor, ratio: float) -> Tensor:
    """Hides a share of the items behind `MASK_ID` (S4Rec, Eq. 15).

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        order_noise: uniform in [0, 1), [B, L]; the lowest are hidden.
        ratio: share to hide; at least one item is hidden and one is not.

    Returns:
        item ids, int32 [B, L].
    """
    count = _share_of(lengths_of(item_ids), ratio, lowest=1, spared=1)
    is_hidden = _lowest(order_noise, item_ids != spec.PAD_ID, count)
    return ops.where(is_hidden, spec.MASK_ID, item_ids)


def crop(item_ids: Tensor, position_noise: Tensor, kept: float, mode: str) -> Tensor:
    """Removes, or keeps, one contiguous part (S4Rec, Eq. 16).

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        position_noise: uniform in [0, 1), [B]; where the part begins.
        kept: share of items left; at least one is left and one removed.
        mode: "remove" joins the two ends around the removed part; "keep" leaves the
            part itself.

    Returns:
        item ids, int32 [B, L].
    """
    lengths = lengths_of(item_ids)
    left = ops.where(lengths > 1, _share_of(lengths, kept, lowest=1, spared=1), lengths)
    removed = lengths - left
    starts = _starts(position_noise, left if mode == "remove" else removed)
    rank = _slots(item_ids) - (item_ids.shape[1] - left)
    is_shifted = rank >= starts if mode == "remove" else rank >= 0
    source = rank + ops.where(is_shifted, removed if mode == "remove" else starts, 0)
    first_slot = item_ids.shape[1] - lengths
    return _gather(item_ids, ops.where(rank >= 0, first_slot + source, -1))


def reorder(
    item_ids: Tensor, position_noise: Tensor, order_noise: Tensor, ratio: float
) -> Tensor:
    """Shuffles the items of one contiguous window (S4Rec, Eq. 17).

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        position_noise: uniform in [0, 1), [B]; where the window begins.
        order_noise: uniform in [0, 1), [B, L]; the window is sorted by it, or reversed
            if that would leave every item in its place.
        ratio: share of items in the window, which holds two at least.

    Returns:
        item ids, int32 [B, L].
    """
    lengths = lengths_of(item_ids)
    width = ops.where(lengths > 1, _share_of(lengths, ratio, lowest=2, spared=0), 0)
    slots = _slots(item_ids)
    first = item_ids.shape[1] - lengths + _starts(position_noise, lengths - width)
    is_inside = (slots >= first) & (slots < first + width)
    # Noise is below the distance of two slots, so the window stays in its place.
    keys = ops.cast(ops.where(is_inside, first, slots), "float32")
    keys = keys + ops.where(is_inside, ops.cast(order_noise, "float32"), 0.0)
    shuffled = ops.cast(ops.argsort(keys, axis=1), "int32")
    is_identity = ops.all(shuffled == slots, axis=1, keepdims=True)
    reversed_ = ops.where(is_inside, 2 * first + width - 1 - slots, slots)
    return _gather(item_ids, ops.where(is_identity, reversed_, shuffled))


def insert(
    item_ids: Tensor, order_noise: Tensor, inserted_ids: Tensor, ratio: float
) -> Tensor:
    """Inserts items of other users before randomly chosen items (S4Rec, Eq. 18).

    Nothing is inserted behind the last item, and at most one item before each other.
    Where the result would exceed L items, the oldest are dropped.

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        order_noise: uniform in [0, 1), [B, L]; an insertion precedes the lowest.
        inserted_ids: the item that an insertion at this slot brings, int32 [B, L].
        ratio: number of insertions as a share of the length; at least one.

    Returns:
        item ids, int32 [B, L].
    """
    max_length = item_ids.shape[1]
    lengths, slots = lengths_of(item_ids), _slots(item_ids)
    count = ops.where(lengths > 1, _share_of(lengths, ratio, lowest=1, spared=0), 0)
    is_real = item_ids != spec.PAD_ID
    # In a full row, an item inserted before the first would be dropped at once.
    last_choice = ops.cast((slots == 0) & is_real, "float32")
    is_followed = _lowest(order_noise + last_choice, is_real, count)
    both = ops.stack([inserted_ids, item_ids], axis=2)
    is_valid = ops.stack([is_followed, is_real], axis=2)
    sources = ops.where(is_valid, ops.stack([2 * slots, 2 * slots + 1], axis=2), -1)
    compacted = ops.sort(ops.reshape(sources, (-1, 2 * max_length)), axis=1)
    doubled = ops.reshape(both, (-1, 2 * max_length))
    return _gather(doubled, compacted[:, max_length:])


def substitute(
    item_ids: Tensor, order_noise: Tensor, substitute_ids: Tensor, ratio: float
) -> Tensor:
    """Puts other items in the place of randomly chosen ones (CoSeRec, section 3.2).

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        order_noise: uniform in [0, 1), [B, L]; the lowest are substituted.
        substitute_ids: what would take the place of each item, int32 [B, L].
        ratio: share to substitute; at least one item is, and one is not.

    Returns:
        item ids, int32 [B, L].
    """
    count = _share_of(lengths_of(item_ids), ratio, lowest=1, spared=1)
    is_chosen = _lowest(order_noise, item_ids != spec.PAD_ID, count)
    return ops.where(is_chosen, substitute_ids, item_ids)


def lengths_of(item_ids: Tensor) -> Tensor:
    """Number of real items, int32 [B, 1]."""
    is_real = ops.cast(item_ids != spec.PAD_ID, "int32")
    return ops.sum(is_real, axis=1, keepdims=True)


def _slots(item_ids: Tensor) -> Tensor:
    """The column of every element, int32 [B, L]."""
    columns = ops.arange(item_ids.shape[1], dtype="int32")
    return ops.zeros_like(item_ids) + ops.expand_dims(columns, 0)


def _share_of(lengths: Tensor, ratio: float, lowest: int, spared: int) -> Tensor:
    """`ratio * lengths` to the nearest number in [lowest, lengths - spared]."""
    scaled = ops.cast(lengths, "float32") * ratio
    nearest = ops.cast(scaled + 0.5, "int32")
    return ops.minimum(ops.maximum(nearest, lowest), ops.maximum(lengths - spared, 0))


def _starts(position_noise: Tensor, highest: Tensor) -> Tensor:
    """A uniform whole number in [0, highest], int32 [B, 1], of noise in [0, 1)."""
    noise = ops.expand_dims(ops.cast(position_noise, "float32"), 1)
    drawn = ops.cast(noise * ops.cast(highest + 1, "float32"), "int32")
    return ops.minimum(drawn, highest)


def _lowest(order_noise: Tensor, is_candidate: Tensor, count: Tensor) -> Tensor:
    """True for the `count` candidates of each row with the lowest noise, [B, L]."""
    keys = ops.where(is_candidate, ops.cast(order_noise, "float32"), 3.0)
    ranks = ops.argsort(ops.argsort(keys, axis=1), axis=1)
    return ops.cast(ranks, "int32") < count


def _gather(values: Tensor, sources: Tensor) -> Tensor:
    """`values` [B, M] at columns `sources` [B, L]; `PAD_ID` where that is negative."""
    columns = ops.maximum(sources, 0)
    taken = ops.take_along_axis(values, columns, axis=1)
    return ops.where(sources >= 0, taken, spec.PAD_ID)

"""The one home of what a mask means."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import spec

Tensor = Any


def is_real(item_ids: Tensor) -> Tensor:
    """True where a position holds an item, hidden ones included; bool [B, L]."""
    return ops.not_equal(item_ids, spec.PAD_ID)


def may_attend(segments: Tensor, is_causal: bool = True) -> Tensor:
    """True where slot i may look at slot j: of the same sequence, and not after i.

    Args:
        segments: number of the sequence that a slot belongs to, int32 [G, C].
        is_causal: False lets a slot look at those after it, too.

    Returns:
        bool [G, 1, C, C], the axis of size 1 standing for the heads.
    """
    is_same = ops.equal(segments[:, :, None], segments[:, None, :])[:, None]
    if not is_causal:
        return is_same
    slots = ops.arange(ops.shape(segments)[1])
    is_past = slots[:, None] >= slots[None, :]
    return ops.logical_and(is_past[None, None], is_same)

"""The one home of what a mask means."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import spec

Tensor = Any


def is_real(item_ids: Tensor) -> Tensor:
    """True where a position holds an item, hidden ones included; bool [B, L]."""
    return ops.not_equal(item_ids, spec.PAD_ID)


def may_attend(item_ids: Tensor) -> Tensor:
    """True where position i may look at position j: j is real and not after i.

    Args:
        item_ids: int32 [B, L].

    Returns:
        bool [B, 1, L, L], the axis of size 1 standing for the heads.
    """
    positions = ops.arange(ops.shape(item_ids)[1])
    is_causal = positions[:, None] >= positions[None, :]
    return ops.logical_and(is_causal[None, None], is_real(item_ids)[:, None, None, :])

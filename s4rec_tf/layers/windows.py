"""Windows of fixed length at the end of left-padded rows."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import spec

Tensor = Any


def last_columns(item_ids: Tensor, length: int) -> Tensor:
    """The last columns, int32 [B, l] -> [B, L]; padded on the left if l < L."""
    missing = length - item_ids.shape[1]
    if missing > 0:
        padding = ((0, 0), (missing, 0))
        item_ids = ops.pad(item_ids, padding, constant_values=spec.PAD_ID)
    return item_ids[:, -length:]


def earlier_windows(item_ids: Tensor, length: int, count: int) -> Tensor:
    """Windows that end at the last column, at the one before, and so on.

    Seen from their end, the row's next item is the first, the second, ... to come.

    Args:
        item_ids: int32 [B, l].
        length: L.
        count: T.

    Returns:
        int32 [B, T, L]; a window that ends at padding holds no item.
    """
    width = length + count - 1
    columns = last_columns(item_ids, width)
    windows = [columns[:, skip : skip + length] for skip in range(count - 1, -1, -1)]
    return ops.stack(windows, axis=1)


def only_target(target_ids: Tensor) -> Tensor:
    """The targets of rows that have one each, int32 [B, 1].

    Raises:
        ValueError: if they have more.
    """
    if target_ids.shape[1] != 1:
        raise ValueError(
            "a model of windows needs `samples=prefix`, one target a row. "
            f"Received: {target_ids.shape[1]} targets a row"
        )
    return target_ids

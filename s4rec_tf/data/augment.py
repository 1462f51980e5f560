"""Random views of a sequence, by an operator drawn for each row (S4Rec, section 4.2).

Pure functions of item ids and noise, so that equal noise gives equal views. What
`substitute` and `insert` bring in are correlated items with `data/correlation.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

from keras import ops

from s4rec_tf.data import view_operators

Tensor = Any

OPERATORS = ("mask", "crop", "reorder", "insert")
# Leaves the sequence as it is: views differ by dropout alone (SimCSE, DuoRec).
IDENTITY = "identity"
_KNOWN = (*OPERATORS, "substitute", IDENTITY)
CROP_MODES = ("remove", "keep")


@dataclasses.dataclass(frozen=True)
class AugmentationSettings:
    """Settings of the augmented views.

    Attributes:
        mask_ratio: share of items hidden by mask.
        crop: "remove" takes one contiguous part out and joins both ends (S4Rec,
            Eq. 16); "keep" keeps one contiguous part (CL4SRec).
        crop_kept: share of items left by crop, in either mode.
        reorder_ratio: share of items in the shuffled window.
        insert_ratio: inserted items as a share of the sequence's length.
        substitute_ratio: share of items that others take the place of.
        operators: the operators that a view is drawn from, each equally likely;
            "identity" leaves the sequence as it is, for dropout alone to make a view.
        short_length: sequences with fewer items than this draw from `short_operators`
            instead, as in CoSeRec; 0 treats all alike.
        short_operators: the operators of short sequences, each equally likely.

    Raises:
        ValueError: if a share is outside its range or a name is unknown.
    """

    mask_ratio: float = 0.3
    crop: Literal["remove", "keep"] = "remove"
    crop_kept: float = 0.6
    reorder_ratio: float = 0.2
    insert_ratio: float = 0.2
    substitute_ratio: float = 0.2
    operators: tuple[str, ...] = OPERATORS
    short_length: int = 0
    short_operators: tuple[str, ...] = ("mask", "insert")

    def __post_init__(self) -> None:
        ratios = ("mask_ratio", "crop_kept", "reorder_ratio", "insert_ratio")
        for name in (*ratios, "substitute_ratio"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"`{name}` must lie in [0, 1]. Received: {value}")
        if self.crop not in CROP_MODES:
            raise ValueError(
                f"`crop` must be one of {', '.join(CROP_MODES)}. Received: {self.crop}"
            )
        for name in ("operators", "short_operators"):
            chosen = getattr(self, name)
            if not chosen or set(chosen) - set(_KNOWN):
                raise ValueError(
                    f"`{name}` must be one or more of {', '.join(_KNOWN)}. "
                    f"Received: {chosen}"
                )
        if self.short_length < 0:
            raise ValueError(
                f"`short_length` must not be negative. Received: {self.short_length}"
            )


class AugmentationNoise(NamedTuple):
    """The randomness of one view of each row.

    Attributes:
        operator: which operator, uniform in [0, 1), [B].
        position: where a crop or a reorder begins, uniform in [0, 1), [B].
        order: which items are hidden, shuffled, substituted or preceded by an
            insertion, uniform in [0, 1), [B, L].
        inserted_ids: the item that comes before, or in the place of, the one in this
            slot, int32 [B, L]; never `PAD_ID`.
    """

    operator: Tensor
    position: Tensor
    order: Tensor
    inserted_ids: Tensor


def augment(
    item_ids: Tensor, noise: AugmentationNoise, settings: AugmentationSettings
) -> Tensor:
    """One view of every row, by an operator drawn for that row (S4Rec, Eq. 8).

    Args:
        item_ids: left-padded item ids, int32 [B, L].
        noise: the randomness of the view.
        settings: ratios, and the operators to draw from.

    Returns:
        item ids, int32 [B, L], with `MASK_ID` for hidden items.
    """
    long_names, short_names = settings.operators, settings.short_operators
    drawn = _drawn(noise.operator, len(long_names))
    names = list(long_names)
    if settings.short_length:
        # A row's number in the list of both: short sequences' operators come second.
        names += short_names
        is_short = view_operators.lengths_of(item_ids) < settings.short_length
        of_short = len(long_names) + _drawn(noise.operator, len(short_names))
        drawn = ops.where(is_short, of_short, drawn)
    views = {
        name: _apply(name, item_ids, noise, settings) for name in dict.fromkeys(names)
    }
    result = views[names[0]]
    for number, name in enumerate(names[1:], start=1):
        result = ops.where(drawn == number, views[name], result)
    return result


def _drawn(noise: Tensor, count: int) -> Tensor:
    """A uniform whole number below `count` for each row, int32 [B, 1]."""
    scaled = ops.cast(ops.cast(noise, "float32") * count, "int32")
    return ops.expand_dims(ops.minimum(scaled, count - 1), 1)


def _apply(
    name: str,
    item_ids: Tensor,
    noise: AugmentationNoise,
    settings: AugmentationSettings,
) -> Tensor:
    if name == IDENTITY:
        return item_ids
    if name == "mask":
        return view_operators.mask(item_ids, noise.order, settings.mask_ratio)
    if name == "crop":
        return view_operators.crop(
            item_ids, noise.position, settings.crop_kept, settings.crop
        )
    if name == "reorder":
        ratio = settings.reorder_ratio
        return view_operators.reorder(item_ids, noise.position, noise.order, ratio)
    if name == "substitute":
        ratio = settings.substitute_ratio
        return view_operators.substitute(
            item_ids, noise.order, noise.inserted_ids, ratio
        )
    return view_operators.insert(
        item_ids, noise.order, noise.inserted_ids, settings.insert_ratio
    )

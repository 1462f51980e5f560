"""A user's sequence -> one example a split, the last two actions left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

MIN_SPLIT_LENGTH = 3
"""Least length of a sequence that has a validation and a test example."""


class SplitExample(NamedTuple):
    """A user's example of one split.

    Attributes:
        split: one of `spec.SPLITS`.
        item_ids: what is known before the target, oldest first.
        target_id: the item to predict; None in "train".
    """

    split: str
    item_ids: Sequence[int]
    target_id: int | None


def leave_last_two_out(item_ids: Sequence[int]) -> Iterator[SplitExample]:
    """The examples of a user; fewer than three actions are all training.

    Example: [1, 2, 3] -> train [1]; valid [1] -> 2; test [1, 2] -> 3.
    """
    if len(item_ids) < MIN_SPLIT_LENGTH:
        yield SplitExample("train", item_ids, None)
        return
    yield SplitExample("train", item_ids[:-2], None)
    yield SplitExample("valid", item_ids[:-2], item_ids[-2])
    yield SplitExample("test", item_ids[:-1], item_ids[-1])


def join_splits(
    train: Sequence[int],
    valid_target: int | None = None,
    test_target: int | None = None,
) -> list[int]:
    """The reverse of `leave_last_two_out`."""
    targets = [valid_target, test_target]
    return [*train, *(target for target in targets if target is not None)]

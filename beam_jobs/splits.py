"""Which of a user's actions are for training, validation and test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

LEAVE_ONE_OUT = "leave_one_out"
GLOBAL_TIME = "global_time"
FILES = "files"
KINDS = (LEAVE_ONE_OUT, GLOBAL_TIME, FILES)

MIN_SPLIT_LENGTH = 3
"""Least length of a sequence of which the last two actions are left out."""

_STRIDE = 10**13
"""More than any time in milliseconds, so that a split fits in front of it."""

TIME_DIGITS = 14
"""Digits of the largest time behind the number of its split."""


class SplitPoints(NamedTuple):
    """Where a sequence is divided.

    Attributes:
        valid: number of actions for training; those from there on are for validation.
        test: number of actions before the first for the test.
    """

    valid: int
    test: int


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


class SplitRule(NamedTuple):
    """The division of sequences into splits.

    Attributes:
        kind: leave_one_out: the last action is the test, the last but one validation;
            global_time: by two moments, the same for everybody; files: by the log that
            an action stands in.
        valid_from_ms: first millisecond of validation, for global_time.
        test_from_ms: first millisecond of the test, for global_time.
    """

    kind: str = LEAVE_ONE_OUT
    valid_from_ms: int | None = None
    test_from_ms: int | None = None

    def cuts(self, times: Iterable[int]) -> SplitPoints | None:
        """Where a user's actions are divided; None leaves the last two out.

        Args:
            times: of the actions in their order, as they travel (`tagged_time`).
        """
        if self.kind == LEAVE_ONE_OUT:
            return None
        bounds = [_STRIDE, 2 * _STRIDE]
        if self.kind == GLOBAL_TIME:
            bounds = list(self._moments)
        known = list(times)
        return SplitPoints(*(sum(time < bound for time in known) for bound in bounds))

    @property
    def _moments(self) -> tuple[int, int]:
        assert self.valid_from_ms is not None and self.test_from_ms is not None
        return self.valid_from_ms, self.test_from_ms

    def describe(self) -> str:
        """The rule in a few words."""
        if self.kind != GLOBAL_TIME:
            return self.kind
        valid, test = map(_moment, self._moments)
        return f"{GLOBAL_TIME}: validation from {valid}, test from {test}"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def tagged_time(timestamp_ms: int, split_number: int) -> int:
    """A time behind the number of its split, so that splits come in their order."""
    return split_number * _STRIDE + timestamp_ms


def untagged_time(time: int) -> int:
    """The reverse of `tagged_time`."""
    return time % _STRIDE


def split_examples(
    item_ids: Sequence[int], cuts: SplitPoints | None
) -> Iterator[SplitExample]:
    """The examples of a user, one a split at most.

    The target of validation and test is the first action there; without a training
    action a user has no example at all.

    Example: [1, 2, 3, 4] with SplitPoints(1, 3) -> train [1]; valid [1] -> 2;
    test [1, 2, 3] -> 4.

    Args:
        item_ids: of all actions, oldest first.
        cuts: where they are divided; None leaves the last two out.
    """
    if cuts is None:
        yield from leave_last_two_out(item_ids)
        return
    valid, test = cuts
    if valid == 0:
        return
    yield SplitExample("train", item_ids[:valid], None)
    if valid < test:
        yield SplitExample("valid", item_ids[:valid], item_ids[valid])
    if test < len(item_ids):
        yield SplitExample("test", item_ids[:test], item_ids[test])


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

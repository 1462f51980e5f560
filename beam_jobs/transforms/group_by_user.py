"""Interactions -> each user's newest items in order of time."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.coders import coders

from beam_jobs.defaults import MAX_ACTIONS_PER_USER
from beam_jobs.logs.interactions import Interaction
from beam_jobs.sequences import UserSequence
from beam_jobs.splits import TIME_DIGITS, SplitRule, tagged_time
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.counting import (
    COUNTS,
    LARGEST,
    CountingDoFn,
    in_global_window,
)

Ties = Literal["item_id", "hash"]
"""Order of one user's interactions of one time: by raw item id, or by a stable hash of
user, time and item, which favours no item."""

LEAVE_LAST_TWO_OUT = SplitRule()

CONFLICTS = "conflicts"
"""Tag of users with two items at one position of a log of sequences."""

_TIE_BYTES = 6


class Newest(NamedTuple):
    """A user's newest lines, sorted.

    Attributes:
        lines: the lines.
        is_cut: whether older ones were dropped.
        total: lines that the user had, duplicates included.
    """

    lines: list[bytes]
    is_cut: bool
    total: int


class GroupedUsers(NamedTuple):
    """Outputs of `GroupByUser`.

    Attributes:
        sequences: a `UserSequence` a user.
        conflicts: raw ids of users with two items at one position.
        largest: (actions, raw id) of users, the largest among them.
        counts: `users`, `sequence_actions`, `capped_users` and `tied_actions`.
    """

    sequences: beam.PCollection
    conflicts: beam.PCollection
    largest: beam.PCollection
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)
class GroupByUser(beam.PTransform):
    """Drops duplicates and gives every user's newest items, oldest first.

    The newest are found by a combiner, so that a user of a million actions is no
    worker's burden.

    Args:
        max_actions_per_user: newest distinct actions of a user that count.
        split_rule: where sequences are divided.
        ties: order of a user's actions of one time.
        order_is_time: whether times are positions in a log of sequences, where two
            items at one position are a conflict.
    """

    max_actions_per_user: int = MAX_ACTIONS_PER_USER
    split_rule: SplitRule = LEAVE_LAST_TWO_OUT
    ties: Ties = "item_id"
    order_is_time: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        if self.max_actions_per_user < 1:
            raise ValueError(
                "`max_actions_per_user` must be at least 1. "
                f"Received: {self.max_actions_per_user}"
            )

    def expand(self, interactions: beam.PCollection) -> GroupedUsers:
        """A collection of `Interaction` -> `GroupedUsers`."""
        grouped = (
            interactions
            | "KeyByUser"
            >> beam.Map(
                functools.partial(keyed_line, ties=self.ties)
            ).with_output_types(tuple[bytes, bytes])
            | "NewestByUser"
            >> beam.CombinePerKey(NewestLines(self.max_actions_per_user))
            | "ToSequence"
            >> beam.ParDo(_ToSequence(self.split_rule, self.order_is_time))
            .with_output_types(UserSequence)
            .with_outputs(COUNTS, CONFLICTS, LARGEST, main="sequences")
        )
        tags = ("sequences", CONFLICTS, LARGEST, COUNTS)
        return GroupedUsers(*(grouped[tag] for tag in tags))


def keyed_line(interaction: Interaction, ties: Ties) -> tuple[bytes, bytes]:
    r"""The user, and a line that sorts by time, then by the rule of ties.

    Example: Interaction("u", "i", 7) -> (b"u", b"00000000000007\ti").
    """
    user, item, timestamp_ms, _, split_number = interaction
    time = tagged_time(timestamp_ms, split_number)
    if ties == "item_id":
        return user.encode(), f"{time:0{TIME_DIGITS}}\t{item}".encode()
    key = f"{user}\t{timestamp_ms}\t{item}".encode()
    tie = hashlib.blake2b(key, digest_size=_TIE_BYTES).hexdigest()
    return user.encode(), f"{time:0{TIME_DIGITS}}\t{tie}\t{item}".encode()


class NewestLines(beam.CombineFn):
    """Lines of bytes -> the last `limit` distinct ones in their order.

    While a bundle is read, an accumulator is a list: how many lines were left out,
    whether distinct ones were, and those kept. Between workers it is bytes: the same,
    joined by line feeds. It never holds more than twice the limit.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def get_accumulator_coder(self) -> coders.Coder:
        """Accumulators travel as bytes; see `compact`."""
        return coders.BytesCoder()

    def create_accumulator(self) -> list[Any]:
        """No lines."""
        return [0, False]

    def add_input(self, found: list[Any], line: bytes) -> list[Any]:
        """Adds a line."""
        found.append(line)
        return self._newest(found) if len(found) > 2 * self._limit + 1 else found

    def compact(self, found: list[Any] | bytes) -> bytes:
        """The form in which an accumulator travels."""
        if isinstance(found, bytes):
            return found
        num_left_out, is_cut, *lines = found
        return b"\n".join([b"%d\n%d" % (num_left_out, is_cut), *lines])

    def merge_accumulators(self, parts: Iterable[list[Any] | bytes]) -> bytes:
        """The newest of all."""
        first, *others = parts
        if not others:
            return self.compact(first)
        merged = self.create_accumulator()
        for part in (first, *others):
            num_left_out, is_cut, *lines = _as_list(part)
            merged[0] += num_left_out
            merged[1] |= is_cut
            merged += lines
            if len(merged) > 2 * self._limit + 2:
                merged = self._newest(merged)
        return self.compact(merged)

    def extract_output(self, found: list[Any] | bytes) -> Newest:
        """The newest lines, sorted."""
        num_left_out, is_cut, *lines = self._newest(_as_list(found))
        return Newest(lines, is_cut, num_left_out + len(lines))

    def _newest(self, found: list[Any]) -> list[Any]:
        num_left_out, is_cut, *lines = found
        distinct = sorted(set(lines))
        newest = distinct[-self._limit :]
        is_cut = is_cut or len(newest) < len(distinct)
        return [num_left_out + len(lines) - len(newest), is_cut, *newest]


def _as_list(found: list[Any] | bytes) -> list[Any]:
    if isinstance(found, list):
        return found
    num_left_out, is_cut, *lines = found.split(b"\n")
    return [int(num_left_out), is_cut == b"1", *lines]


class _ToSequence(CountingDoFn):
    """(user, their newest lines) -> `UserSequence`."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._largest = (0, b"")

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        yield in_global_window(self._largest, LARGEST)
        yield from super().finish_bundle()

    def __init__(self, split_rule: SplitRule, order_is_time: bool) -> None:
        super().__init__()
        self._split_rule = split_rule
        self._order_is_time = order_is_time

    def process(self, element: tuple[bytes, Newest]) -> Iterator[object]:
        user, (lines, is_cut, total) = element
        self._largest = max(self._largest, (total, user))
        items = [line[line.rindex(b"\t") + 1 :] for line in lines]
        stamps = [line[:TIME_DIGITS] for line in lines]
        tied = _num_tied(stamps) if len(set(stamps)) < len(stamps) else 0
        self.counts["users"] += 1
        self.counts["sequence_actions"] += len(items)
        self.counts["capped_users"] += is_cut
        if self._order_is_time and tied:
            yield beam.pvalue.TaggedOutput(CONFLICTS, user)
        self.counts["tied_actions"] += tied
        yield UserSequence(user, items, self._split_rule.cuts(map(int, stamps)))


def _num_tied(times: list[bytes]) -> int:
    """Actions that share their time with another. Example: [b"1", b"2", b"2"] -> 2."""
    sizes = (len(list(group)) for _, group in itertools.groupby(times))
    return sum(size for size in sizes if size > 1)

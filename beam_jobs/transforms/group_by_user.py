"""Interactions -> each user's newest items in order of time."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.coders import coders
from apache_beam.transforms.window import GlobalWindows

from beam_jobs.defaults import MAX_ACTIONS_PER_USER
from beam_jobs.logs.interactions import Interaction
from beam_jobs.sequences import UserSequence
from beam_jobs.splits import TIME_DIGITS, SplitRule, tagged_time
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.batches import Batch, InteractionsDoFn
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

_GATHERED_AT_ONCE = 500_000
"""Lines of a bundle that are held before they are shuffled."""


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
        counts: `users`, `grouped_actions` with duplicates, `sequence_actions`,
            `capped_users` and `tied_actions`.
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
            | "GatherByUser"
            >> beam.ParDo(
                GatherByUser(self.max_actions_per_user, self.ties)
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


def sortable_line(interaction: Interaction, ties: Ties) -> bytes:
    r"""Time and item as a line; lines sort by time, then by the rule of ties.

    Example: Interaction("u", "i", 7) -> b"00000000000007\ti".
    """
    user, item, timestamp_ms, _, split_number = interaction
    time = tagged_time(timestamp_ms, split_number)
    if ties == "item_id":
        return f"{str(time).zfill(TIME_DIGITS)}\t{item}".encode()
    key = f"{user}\t{timestamp_ms}\t{item}".encode()
    tie = hashlib.blake2b(key, digest_size=_TIE_BYTES).hexdigest()
    return f"{str(time).zfill(TIME_DIGITS)}\t{tie}\t{item}".encode()


class UserLines(NamedTuple):
    """A user's newest lines, and what was left out: not more than twice the limit.

    Attributes:
        num_left_out: lines left out.
        is_cut: whether distinct ones are among those.
        lines: those kept, in any order.
    """

    num_left_out: int
    is_cut: bool
    lines: list[bytes]

    def newest(self, limit: int) -> UserLines:
        """The last `limit` distinct lines, sorted."""
        distinct = sorted(set(self.lines))
        newest = distinct[-limit:]
        num_left_out = self.num_left_out + len(self.lines) - len(newest)
        return UserLines(
            num_left_out, self.is_cut or len(newest) < len(distinct), newest
        )

    def pack(self) -> bytes:
        """One value, which travels between workers; see `unpack_lines`."""
        return b"\n".join([b"%d\n%d" % (self.num_left_out, self.is_cut), *self.lines])


def unpack_lines(packed: bytes) -> UserLines:
    """The reverse of `UserLines.pack`."""
    num_left_out, is_cut, *lines = packed.split(b"\n")
    return UserLines(int(num_left_out), is_cut == b"1", lines)


class GatherByUser(InteractionsDoFn):
    """Interactions -> (user, packed `UserLines`), many lines of a user at once.

    Args:
        limit: lines of a user that count; no more than twice as many are kept.
        ties: order of a user's interactions of one time.
    """

    def __init__(self, limit: int, ties: Ties) -> None:
        super().__init__()
        self._limit = limit
        self._ties = ties

    def start_bundle(self) -> None:
        """Begins without lines."""
        self._users: dict[str, list[bytes]] = {}
        self._cut: dict[str, UserLines] = {}
        self._num_gathered = 0

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Batch) -> Iterable[tuple[bytes, bytes]]:
        """Keeps lines; gives all users when the lines are many."""
        users, most, ties = self._users, 2 * self._limit, self._ties
        for interaction in batch:
            line = sortable_line(interaction, ties)
            lines = users.get(interaction.user)
            if lines is None:
                users[interaction.user] = [line]
                continue
            lines.append(line)
            if len(lines) > most:
                users[interaction.user] = self._newest(interaction.user, lines)
        self._num_gathered += len(batch)
        return self._packed() if self._num_gathered >= _GATHERED_AT_ONCE else ()

    def finish_bundle(self) -> Iterator[Any]:
        """Gives what is left."""
        yield from map(GlobalWindows.windowed_value, self._packed())

    def _newest(self, user: str, lines: list[bytes]) -> list[bytes]:
        """A user's newest lines; that others were left out is noted."""
        self._cut[user] = self._user_lines(user, lines).newest(self._limit)
        return self._cut[user].lines

    def _user_lines(self, user: str, lines: list[bytes]) -> UserLines:
        before = self._cut.get(user)
        return before._replace(lines=lines) if before else UserLines(0, False, lines)

    def _packed(self) -> list[tuple[bytes, bytes]]:
        packed = [
            (user.encode(), self._user_lines(user, lines).pack())
            for user, lines in self._users.items()
        ]
        self.start_bundle()
        return packed


class NewestLines(beam.CombineFn):
    """Packed `UserLines` of one user -> `Newest`.

    Args:
        limit: distinct lines that are given; an accumulator never holds more than twice
            as many.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def get_accumulator_coder(self) -> coders.Coder:
        """Accumulators are packed."""
        return coders.BytesCoder()

    def create_accumulator(self) -> bytes:
        """No lines."""
        return b""

    def add_input(self, packed: bytes, lines: bytes) -> bytes:
        """Adds lines."""
        return self.merge_accumulators([packed, lines])

    def merge_accumulators(self, parts: Iterable[bytes]) -> bytes:
        """The newest of all."""
        given = [part for part in parts if part]
        if len(given) < 2:
            return given[0] if given else b""
        merged = UserLines(0, False, [])
        for part in map(unpack_lines, given):
            merged = UserLines(
                merged.num_left_out + part.num_left_out,
                merged.is_cut or part.is_cut,
                merged.lines + part.lines,
            )
            if len(merged.lines) > 2 * self._limit:
                merged = merged.newest(self._limit)
        return merged.pack()

    def extract_output(self, packed: bytes) -> Newest:
        """The newest lines, sorted."""
        found = unpack_lines(packed) if packed else UserLines(0, False, [])
        num_left_out, is_cut, lines = found.newest(self._limit)
        return Newest(lines, is_cut, num_left_out + len(lines))


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
        self.counts["grouped_actions"] += total
        self.counts["sequence_actions"] += len(items)
        self.counts["capped_users"] += is_cut
        if self._order_is_time and tied:
            yield beam.pvalue.TaggedOutput(CONFLICTS, user)
        self.counts["tied_actions"] += tied
        yield UserSequence(user, items, self._split_rule.cuts(map(int, stamps)))


def _num_tied(times: list[bytes]) -> int:
    """Actions that share their time with another. Example: [b"1", b"2", b"2"] -> 2."""
    return sum(size for size in Counter(times).values() if size > 1)

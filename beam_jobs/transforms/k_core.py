"""The k-core: users and items with at least k actions each, counted among themselves.

A round counts the items, drops those below k, and then the users below k. Beam has no
loop, so a fixed number of rounds stands in the graph. Once a round finds nothing to
drop, those after it pass the sequences on uncounted.

Between rounds sequences travel in blocks of lines: an engine's work for an element is
then nothing beside the count.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from beam_jobs.defaults import CORE_ROUNDS
from beam_jobs.sequences import UserSequence, parse_sequence_line, to_sequence_line
from beam_jobs.splits import SplitPoints
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401
from beam_jobs.transforms.counting import (
    COUNTS,
    LARGEST,
    CountingDoFn,
    in_global_window,
)
from beam_jobs.transforms.singletons import CombineOnOneWorker

UNFINISHED = "unfinished"
_COUNTED_AT_ONCE = 100_000
_BLOCK_BYTES = 1 << 17
_KEEP, _DROP = b"+", b"-"

ItemCount = tuple[bytes, int]


class KCoreResult(NamedTuple):
    """Outputs of `KCore`.

    Attributes:
        sequences: the core's `UserSequence`s; empty if the rounds were too few.
        unfinished: the sequences after the last round in that case, else empty.
        largest: (actions, raw id) of items, the largest among them, in the first round.
        counts: `users_in_round_1`, `actions_in_round_1`, `items_below_in_round_1`, ..
    """

    sequences: beam.PCollection
    unfinished: beam.PCollection
    largest: beam.PCollection
    counts: beam.PCollection


@dataclasses.dataclass(eq=False)
class KCore(beam.PTransform):
    """Drops users and items with fewer than k actions until none is left.

    Args:
        k: least number of actions of a user and of an item, repeats counted.
        rounds: rounds in the graph; the last one finds that nothing is to be dropped.
        first_round: number of the first round, where an earlier pipeline ran others.
    """

    k: int = 5
    rounds: int = CORE_ROUNDS
    first_round: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        for name in ("k", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )

    def expand(self, sequences: beam.PCollection) -> KCoreResult:
        """A collection of `UserSequence` -> `KCoreResult`."""
        left = sequences | "UsersBelowK" >> beam.ParDo(
            _ToBlocks(self.k)
        ).with_output_types(bytes)
        rounds, items = [], None
        for number in range(self.first_round, self.first_round + self.rounds):
            found = left | f"Round{number}" >> _Round(self.k, number, items)
            items = beam.pvalue.AsSingleton(found.items, default_value=_DROP)
            rounds.append(found)
            left = left | f"DropBelow{number}" >> beam.FlatMap(
                filter_block, items, self.k
            ).with_output_types(bytes)
        # Rounds may leave one worker with most blocks, and the costly stages follow.
        routed = (
            left
            | "SpreadBlocks" >> beam.Reshuffle()
            | "IsFinished"
            >> beam.ParDo(_Route(), items)
            .with_output_types(UserSequence)
            .with_outputs(UNFINISHED, main="sequences")
        )
        counts = tuple(each for found in rounds for each in found.counts)
        return KCoreResult(
            routed["sequences"],
            routed[UNFINISHED],
            rounds[0].largest,
            counts | "Counts" >> beam.Flatten(),
        )


class _RoundResult(NamedTuple):
    items: beam.PCollection
    largest: beam.PCollection
    counts: tuple[beam.PCollection, beam.PCollection]


@dataclasses.dataclass(eq=False)
class _Round(beam.PTransform):
    """Blocks of sequences -> which items to keep or drop, as one value of bytes."""

    k: int
    number: int
    dropped_before: beam.pvalue.AsSingleton | None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, blocks: beam.PCollection) -> _RoundResult:
        before = () if self.dropped_before is None else (self.dropped_before,)
        counted = blocks | "Count" >> beam.ParDo(
            _CountBlocks(self.number), *before
        ).with_output_types(ItemCount).with_outputs(COUNTS, main="items")
        items = (
            counted["items"]
            | "Sum" >> beam.CombinePerKey(sum)
            | "Below"
            >> beam.ParDo(_CountBelow(self.k, self.number))
            .with_output_types(ItemCount)
            .with_outputs(COUNTS, LARGEST, main="items")
        )
        value = items["items"] | "List" >> CombineOnOneWorker(ItemsToDrop(self.k))
        return _RoundResult(value, items[LARGEST], (counted[COUNTS], items[COUNTS]))


class _ToBlocks(beam.DoFn):
    """Sequences of k items or more -> blocks of their lines."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self._k = k

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []
        self._num_bytes = 0

    def process(self, sequence: UserSequence) -> Iterable[bytes]:
        if len(sequence.items) < self._k:
            return ()
        line = to_sequence_line(sequence)
        self._lines.append(line)
        self._num_bytes += len(line)
        return self._blocks() if self._num_bytes > _BLOCK_BYTES else ()

    def finish_bundle(self) -> Iterator[Any]:
        return map(GlobalWindows.windowed_value, self._blocks())

    def _blocks(self) -> list[bytes]:
        lines, self._lines, self._num_bytes = self._lines, [], 0
        return [b"\n".join(lines)] if lines else []


class CountItems(CountingDoFn):
    """Sequences -> (item, number), many items at once."""

    def start_bundle(self) -> None:
        """Begins to count."""
        super().start_bundle()
        self._items: Counter[bytes] = Counter()
        self._uncounted: list[bytes] = []

    def process(self, sequence: UserSequence) -> Iterable[ItemCount]:
        """Counts a sequence."""
        return self.add(sequence.items)

    def add(self, items: list[bytes]) -> Iterable[ItemCount]:
        """Counts items; an update costs as much as counting ten, so many at once."""
        self._uncounted += items
        if len(self._uncounted) <= _COUNTED_AT_ONCE:
            return ()
        self._items.update(self._uncounted)
        self._uncounted.clear()
        if len(self._items) <= 10 * _COUNTED_AT_ONCE:
            return ()
        counted, self._items = self._items, Counter()
        return counted.items()

    def finish_bundle(self) -> Iterator[Any]:
        """Gives what was counted."""
        self._items.update(self._uncounted)
        yield from map(GlobalWindows.windowed_value, self._items.items())
        yield from self.counted()


class _CountBlocks(CountItems):
    """Blocks -> (item, number); nothing where the round before dropped nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def process(  # type: ignore[override]
        self, block: bytes, dropped_before: bytes = b""
    ) -> Iterable[ItemCount]:
        if dropped_before == _DROP:
            return ()
        histories = [line.split(b"\t", 2)[1] for line in block.split(b"\n")]
        items = b" ".join(histories).split(b" ")
        self.counts[f"users_in_round_{self._number}"] += len(histories)
        self.counts[f"actions_in_round_{self._number}"] += len(items)
        return self.add(items)


class _CountBelow(CountingDoFn):
    """Counts the items below k; gives them all on, and the largest."""

    def __init__(self, k: int, number: int) -> None:
        super().__init__()
        self._k = k
        self._name = f"items_below_in_round_{number}"

    def start_bundle(self) -> None:
        super().start_bundle()
        self._largest = (0, b"")

    def process(self, element: ItemCount) -> Iterator[ItemCount]:
        item, number = element
        self.counts[self._name] += number < self._k
        self._largest = max(self._largest, (number, item))
        yield element

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        yield in_global_window(self._largest, LARGEST)
        yield from self.counted()


class ItemsToDrop(beam.CombineFn):
    """(item, number) -> the items below k or, if they are fewer, those to keep.

    The value begins with `-` or `+`, which says so; then a line an item.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self._k = k

    def create_accumulator(self) -> tuple[list[bytes], list[bytes]]:
        """No items below k and none above."""
        return [], []

    def add_input(
        self, found: tuple[list[bytes], list[bytes]], item: ItemCount
    ) -> tuple[list[bytes], list[bytes]]:
        """Adds an item."""
        found[item[1] >= self._k].append(item[0])
        return found

    def merge_accumulators(
        self, parts: Iterable[tuple[list[bytes], list[bytes]]]
    ) -> tuple[list[bytes], list[bytes]]:
        """All items."""
        merged = self.create_accumulator()
        for below, kept in parts:
            merged[0].extend(below)
            merged[1].extend(kept)
        return merged

    def extract_output(self, found: tuple[list[bytes], list[bytes]]) -> bytes:
        """The fewer of both."""
        below, kept = found
        sign, items = (_DROP, below) if len(below) <= len(kept) else (_KEEP, kept)
        return b"\n".join([sign, *items])


class ItemRule(NamedTuple):
    """Which items stay: those in `items`, or all but those."""

    items: Collection[bytes]
    keeps: bool

    def stay(self, items: list[bytes]) -> list[bool]:
        """Whether each item stays."""
        return [(item in self.items) == self.keeps for item in items]


@functools.lru_cache(maxsize=2)
def item_rule(value: bytes) -> ItemRule:
    """The rule of an `ItemsToDrop`; built once by a worker process and round."""
    sign, *items = value.split(b"\n")
    return ItemRule(frozenset(items), sign == _KEEP)


def filter_block(block: bytes, dropped: bytes, k: int) -> list[bytes]:
    r"""A block without the items that a round drops, and without users below k then.

    Example: (b"u\ta b c\nv\ta b", b"-\nb", 2) -> [b"u\ta c"]; none if nobody is left.
    """
    if dropped == _DROP:
        return [block]
    rule = item_rule(dropped)
    sequences = map(parse_sequence_line, block.split(b"\n"))
    left = (filter_sequence(sequence, rule, k) for sequence in sequences)
    lines = [to_sequence_line(sequence) for sequence in left if sequence is not None]
    return [b"\n".join(lines)] if lines else []


def filter_sequence(
    sequence: UserSequence, rule: ItemRule, k: int
) -> UserSequence | None:
    """A sequence of the items that stay; None if below k then."""
    is_kept = rule.stay(sequence.items)
    items = list(itertools.compress(sequence.items, is_kept))
    if len(items) < k:
        return None
    cuts = sequence.cuts and SplitPoints(*(sum(is_kept[:cut]) for cut in sequence.cuts))
    return UserSequence(sequence.user, items, cuts)


class _Route(beam.DoFn):
    """Sequences to the main output if the last round dropped nothing, else aside."""

    def process(self, block: bytes, dropped: bytes) -> Iterator[object]:
        is_finished = dropped == _DROP
        for sequence in map(parse_sequence_line, block.split(b"\n")):
            yield (
                sequence
                if is_finished
                else beam.pvalue.TaggedOutput(UNFINISHED, sequence)
            )

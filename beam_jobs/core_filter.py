"""The k-core: users and items with at least k actions each, counted among themselves.

Beam has no loop, so a driver runs one pipeline a round over the sequences that are
left. A round drops the items that fell below k in the round before, drops the users
that are below k then, writes what is left, and counts its items. The fixed point is
reached when no item is below k: the item counts of that round are the vocabulary's.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.records import UserSequence, read_sequences, to_sequence_line
from beam_jobs.runner import RunPipeline
from beam_jobs.splits import Cuts
from beam_jobs.storage.files import as_path, new_file

_COUNTED_AT_ONCE = 10_000

ITEMS_FILE = "items.txt"
SUMMARY_FILE = "summary.json"

_SECONDS_PER_BYTE = 2e-7
"""Of sequences, on one core."""


class NotConverged(ValueError):
    """The k-core is not at its fixed point after the stated number of rounds."""


class Part(NamedTuple):
    """One file of sequences and where the round writes what is left of it."""

    source: str
    destination: str


class RoundSummary(NamedTuple):
    """What a round came to.

    Attributes:
        users: users left.
        actions: actions left.
        items_below: items left with fewer than k actions, to be dropped next.
        lengths: number of users left per length of sequence.
    """

    users: int
    actions: int
    items_below: int
    lengths: dict[int, int]


class Core(NamedTuple):
    """The fixed point.

    Attributes:
        sequences: files of the users left, each sorted by user.
        item_counts: number of actions of every item left.
        summary: of the last round.
        rounds: rounds run.
    """

    sequences: list[Path]
    item_counts: dict[bytes, int]
    summary: RoundSummary
    rounds: int


def filter_sequence(
    sequence: UserSequence, kept_items: Iterable[bytes] | None, k: int
) -> UserSequence | None:
    """A sequence without the items that are not kept; None if below k then.

    Args:
        sequence: a user's items.
        kept_items: a set or mapping of the items to keep; None keeps all.
        k: least number of actions.
    """
    items, cuts = sequence.items, sequence.cuts
    if kept_items is not None:
        is_kept = [item in kept_items for item in items]
        items = list(itertools.compress(items, is_kept))
        cuts = cuts and Cuts(*(sum(is_kept[:cut]) for cut in cuts))
    return UserSequence(sequence.user, items, cuts) if len(items) >= k else None


def filter_part(
    part: Part, kept_items: Iterable[bytes] | None, k: int
) -> tuple[Counter[bytes], Counter[int]]:
    """Writes what a round leaves of a part; its item counts and length histogram."""
    items: Counter[bytes] = Counter()
    lengths: Counter[int] = Counter()
    with (
        as_path(part.source).open("rb") as source,
        new_file(as_path(part.destination)) as left,
    ):
        uncounted: list[bytes] = []
        for sequence in read_sequences(source):
            filtered = filter_sequence(sequence, kept_items, k)
            if filtered is not None:
                left.write(to_sequence_line(filtered) + b"\n")
                lengths[len(filtered.items)] += 1
                uncounted += filtered.items
                # Many at once: each update costs as much as counting ten items.
                if len(uncounted) > _COUNTED_AT_ONCE:
                    items.update(uncounted)
                    uncounted.clear()
        items.update(uncounted)
    return items, lengths


def write_item_counts(path: Path, counts: Iterable[tuple[bytes, int]]) -> None:
    r"""Writes lines of `item TAB count`, sorted by item."""
    with new_file(path) as stream:
        for item, count in sorted(counts):
            stream.write(b"%b\t%d\n" % (item, count))


def read_item_counts(path: Path) -> dict[bytes, int]:
    """The reverse of `write_item_counts`."""
    with path.open("rb") as stream:
        pairs = (line.split(b"\t") for line in stream)
        return {item: int(count) for item, count in pairs}


@functools.lru_cache(maxsize=1)
def _kept_items(path: str | None) -> dict[bytes, int] | None:
    """A round's kept items, read once per worker process."""
    return None if path is None else read_item_counts(as_path(path))


class _FilterPart(beam.DoFn):
    """Part -> (item, count) pairs; (length, users) pairs under the tag `LENGTHS`."""

    LENGTHS = "lengths"

    def __init__(self, kept_items_path: str | None, k: int) -> None:
        self._kept_items_path = kept_items_path
        self._k = k

    def process(self, part: Part) -> Iterator[object]:
        items, lengths = filter_part(part, _kept_items(self._kept_items_path), self._k)
        yield from items.items()
        for pair in lengths.items():
            yield beam.pvalue.TaggedOutput(self.LENGTHS, pair)


def wire_round(
    pipeline: beam.Pipeline,
    parts: list[Part],
    kept_items_path: Path | None,
    k: int,
    folder: Path,
) -> None:
    """Wires one round; it writes `ITEMS_FILE` and `SUMMARY_FILE` in `folder`.

    Args:
        pipeline: the pipeline.
        parts: the files of sequences.
        kept_items_path: the items at or above k after the round before, or None.
        k: least number of actions.
        folder: where the round writes.
    """
    path = None if kept_items_path is None else str(kept_items_path)
    left = (
        pipeline
        | "Parts" >> beam.Create(parts)
        | "SpreadParts" >> beam.Reshuffle()
        | "DropBelowK"
        >> beam.ParDo(_FilterPart(path, k)).with_outputs(
            _FilterPart.LENGTHS, main="items"
        )
    )
    counts = left["items"] | "CountItems" >> beam.CombinePerKey(sum)
    below = counts | "Below" >> beam.Filter(_is_below, k)
    (
        counts
        | "AtLeastK" >> beam.Filter(_is_at_least, k)
        | "ListItems" >> beam.combiners.ToList()
        | "WriteItems" >> beam.Map(_write_items, folder / ITEMS_FILE)
    )
    lengths = left[_FilterPart.LENGTHS] | "CountLengths" >> beam.CombinePerKey(sum)
    (
        pipeline
        | "Once" >> beam.Create([folder / SUMMARY_FILE])
        | "WriteSummary"
        >> beam.Map(
            _write_summary,
            beam.pvalue.AsSingleton(below | "CountBelow" >> _count_globally()),
            beam.pvalue.AsDict(lengths),
        )
    )


def _count_globally() -> beam.PTransform:
    return beam.combiners.Count.Globally()


def _is_below(pair: tuple[bytes, int], k: int) -> bool:
    return pair[1] < k


def _is_at_least(pair: tuple[bytes, int], k: int) -> bool:
    return pair[1] >= k


def _write_items(counts: list[tuple[bytes, int]], path: Path) -> None:
    write_item_counts(path, counts)


def _write_summary(path: Path, items_below: int, lengths: dict[int, int]) -> None:
    with new_file(path) as stream:
        content = {"items_below": items_below, "lengths": sorted(lengths.items())}
        stream.write(json.dumps(content).encode())


def read_summary(folder: Path) -> RoundSummary:
    """The summary that a round wrote in its folder."""
    content = json.loads((folder / SUMMARY_FILE).read_bytes())
    lengths = dict(content["lengths"])
    users = sum(lengths.values())
    actions = sum(length * count for length, count in lengths.items())
    return RoundSummary(users, actions, content["items_below"], lengths)


def find_core(
    sequences: list[Path],
    folder: Path,
    k: int,
    max_rounds: int,
    run_pipeline: RunPipeline,
    report: Callable[[str], None],
) -> Core:
    """Runs rounds until no item is below k.

    Args:
        sequences: files of sequence lines, each sorted by user.
        folder: for intermediate files; every round but the last is deleted.
        k: least number of actions of a user and of an item, repeats counted.
        max_rounds: rounds after which it is an error not to be done.
        run_pipeline: runs a pipeline.
        report: called with a line on each round.

    Raises:
        NotConverged: if the fixed point needs more than `max_rounds` rounds.
    """
    kept_items_path = None
    for number in range(1, max_rounds + 1):
        round_folder = folder / f"round-{number:04d}"
        parts = [Part(str(path), str(round_folder / path.name)) for path in sequences]
        num_bytes = sum(path.stat().st_size for path in sequences)
        run_pipeline(
            functools.partial(
                wire_round,
                parts=parts,
                kept_items_path=kept_items_path,
                k=k,
                folder=round_folder,
            ),
            num_bytes * _SECONDS_PER_BYTE,
        )
        for path in sequences if number > 1 else []:
            path.unlink()
        sequences = [as_path(part.destination) for part in parts]
        summary = read_summary(round_folder)
        kept_items_path = round_folder / ITEMS_FILE
        report(
            f"{k}-core round {number}: {summary.users:,} users, {summary.actions:,} "
            f"actions left, {summary.items_below:,} items below {k}"
        )
        if summary.items_below == 0:
            counts = read_item_counts(kept_items_path)
            return Core(sequences, counts, summary, number)
    raise NotConverged(
        f"the {k}-core is not at its fixed point after {max_rounds} rounds "
        f"({summary.items_below:,} items below {k}); raise `--max_rounds`"
    )

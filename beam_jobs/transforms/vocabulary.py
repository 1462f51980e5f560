"""The item vocabulary: ids from 1, which never move; new items most frequent first."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam

from beam_jobs.transforms.counting import COUNTS
from beam_jobs.transforms.k_core import CountItems, ItemCount
from beam_jobs.transforms.singletons import CombineOnOneWorker


@dataclasses.dataclass(eq=False)
class BuildVocabulary(beam.PTransform):
    """Numbers the items of sequences: a collection of one `vocabulary` value.

    The value is bytes, a line `item TAB actions` an item, in order of id. Every worker
    holds it while examples are made.

    Args:
        pinned: file of raw ids whose ids are given: line n is item n; None for none.
    """

    pinned: Path | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, sequences: beam.PCollection) -> beam.PCollection:
        """A collection of `UserSequence` -> one value."""
        counts = (
            sequences
            | "Count"
            >> beam.ParDo(CountItems())
            .with_output_types(ItemCount)
            .with_outputs(COUNTS, main="items")
        )["items"]
        summed = (
            counts
            | "Sum" >> beam.CombinePerKey(sum)
            | "List" >> CombineOnOneWorker(beam.combiners.ToListCombineFn())
        )
        return summed | "Number" >> beam.Map(
            to_vocabulary, None if self.pinned is None else str(self.pinned)
        )


def to_vocabulary(counts: Sequence[ItemCount], pinned: str | None) -> bytes:
    """The value of `BuildVocabulary`, from every item's actions."""
    from beam_jobs.storage.files import as_path

    given: list[bytes] = []
    if pinned is not None:
        given = as_path(pinned).read_bytes().split(b"\n")[:-1]
    numbered = number_items(dict(counts), given)
    return b"".join(b"%b\t%d\n" % pair for pair in numbered)


def number_items(
    counts: Mapping[bytes, int], pinned: Sequence[bytes] = ()
) -> list[ItemCount]:
    """Items in order of id, with their actions.

    Example: {b"x": 2, b"b": 1, b"a": 1} -> x, a, b: by (-actions, id as bytes).

    Args:
        counts: actions of every item that has any.
        pinned: items whose ids are given: element n is item n + 1. One without actions
            keeps its id, with 0 beside it: it is retired, and never recommended.
    """
    known = set(pinned)
    new = [item for item in counts if item not in known]
    new.sort(key=lambda item: (-counts[item], item))
    return [(item, counts.get(item, 0)) for item in (*pinned, *new)]


@functools.lru_cache(maxsize=1)
def item_ids(vocabulary: bytes) -> dict[bytes, int]:
    """From raw id to item id; built once by a worker process."""
    return {item: n for n, (item, _) in enumerate(parse_vocabulary(vocabulary), 1)}


def parse_vocabulary(vocabulary: bytes) -> list[ItemCount]:
    """Items and their actions in order of id."""
    pairs = (line.split(b"\t") for line in vocabulary.split(b"\n")[:-1])
    return [(item, int(count)) for item, count in pairs]

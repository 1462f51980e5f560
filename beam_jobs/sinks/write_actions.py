"""Interactions -> `actions/`, all distinct ones, for later increments."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam

from beam_jobs.layout import ACTIONS
from beam_jobs.sequences import parse_action_line, to_action_line
from beam_jobs.sinks.encoding import serialize_action
from beam_jobs.sinks.shards import (
    Packed,
    PackingDoFn,
    WriteShards,
    join_lines,
    shard_names,
    split_lines,
)
from beam_jobs.transforms.batches import Batch, InteractionsDoFn


@dataclasses.dataclass(eq=False)
class WriteActions(beam.PTransform):
    """Writes distinct interactions: a collection of `WrittenFile`.

    Args:
        root: the dataset folder being built.
        num_shards: number of files.
    """

    root: Path
    num_shards: int

    def __post_init__(self) -> None:
        super().__init__()
        if self.num_shards < 1:
            raise ValueError(
                f"`num_shards` must be at least 1. Received: {self.num_shards}"
            )

    def expand(self, interactions: beam.PCollection) -> beam.PCollection:
        """A collection of `Interaction` -> `WrittenFile`."""
        # Made by a worker, so that the graph does not grow with the dataset.
        names = (
            interactions.pipeline
            | "NumShards" >> beam.Create([self.num_shards])
            | "Names" >> beam.FlatMap(action_shards)
        )
        packed = interactions | "Pack" >> beam.ParDo(
            _PackActions(self.num_shards)
        ).with_output_types(Packed)
        # Read rarely, so favour fast compression.
        return (packed,) | "WriteShards" >> WriteShards(
            self.root, names, split_lines, distinct_records, 1
        )


def action_shards(num_shards: int) -> list[str]:
    """The names of all shards."""
    return shard_names([ACTIONS], num_shards)


class _PackActions(PackingDoFn, InteractionsDoFn):
    """Interactions -> lines, packed by shard of the user."""

    def __init__(self, num_shards: int) -> None:
        super().__init__(join_lines, ACTIONS)
        self._shards = num_shards

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Batch) -> Iterable[Packed]:
        records, num_shards = self.records, self._shards
        for interaction in batch:
            number = zlib.crc32(interaction.user.encode()) % num_shards
            records[number].append(to_action_line(interaction))
        return self.full(num_shards)


def distinct_records(lines: Iterator[bytes]) -> Iterator[bytes]:
    """A shard's sorted lines -> a record for each that differs from the one before."""
    for line, _ in itertools.groupby(lines):
        yield serialize_action(parse_action_line(line))

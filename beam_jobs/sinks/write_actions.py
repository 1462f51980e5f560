"""Interactions -> `actions/`, all distinct ones, for later increments."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

from beam_jobs.layout import ACTIONS
from beam_jobs.logs.interactions import Interaction
from beam_jobs.sequences import bucket_of, parse_action_line, to_action_line
from beam_jobs.sinks.action_records import serialize_action
from beam_jobs.sinks.shards import Keyed, WriteShards, shard_name, shard_names


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
        return (
            interactions
            | "Shard" >> beam.Map(in_shard, self.num_shards)
            # Read rarely, so favour fast compression.
            | "WriteShards" >> WriteShards(self.root, names, distinct_records, 1)
        )


def action_shards(num_shards: int) -> list[str]:
    """The names of all shards."""
    return shard_names([ACTIONS], num_shards)


def in_shard(interaction: Interaction, num_shards: int) -> tuple[str, Keyed]:
    """An interaction's line with the name of its user's shard before it."""
    number = bucket_of(interaction.user.encode(), num_shards)
    name = f"{ACTIONS}/{shard_name(number, num_shards)}"
    return name, (to_action_line(interaction), b"")


def distinct_records(lines: Iterator[Keyed]) -> Iterator[bytes]:
    """A shard's sorted lines -> a record for each that differs from the one before."""
    for line, _ in itertools.groupby(line for line, _ in lines):
        yield serialize_action(parse_action_line(line))

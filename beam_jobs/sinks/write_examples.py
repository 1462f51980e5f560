"""Examples -> the shards of the splits, of about equal size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam

from beam_jobs.sequences import bucket_of
from beam_jobs.sinks.shards import (
    Keyed,
    Packed,
    PackingDoFn,
    WriteShards,
    join_keyed,
    keyed_line,
    records_only,
    shard_names,
    split_keyed,
)
from s4rec_tf.spec import SPLITS

SHARD_BYTES = 64 << 20
"""Size of a shard of the train split, roughly."""

_BYTES_PER_ACTION = 4
"""Of the train split, compressed; Amazon's logs need 3 to 4."""

_USERS_PER_SHARD = 1000
_MIN_SHARDS = 4


@dataclasses.dataclass(eq=False)
class WriteExamples(beam.PTransform):
    """Writes every split's examples: a collection of `WrittenFile`.

    A user's shard is a hash of the id, and a shard is sorted by user.

    Args:
        root: the dataset folder being built.
        num_shards: a collection of one number, the shards of every split.
    """

    root: Path
    num_shards: beam.PCollection

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, examples: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """From split to a collection of (user, serialized example)."""
        num_shards = beam.pvalue.AsSingleton(self.num_shards)
        packed = tuple(
            examples[split]
            | f"Pack/{split}"
            >> beam.ParDo(PackByUser(split), num_shards).with_output_types(Packed)
            for split in SPLITS
        )
        names = self.num_shards | "Names" >> beam.FlatMap(
            lambda number: shard_names(SPLITS, number)
        )
        return packed | "WriteShards" >> WriteShards(
            self.root, names, split_keyed, records_only
        )


class PackByUser(PackingDoFn):
    """(user, record) -> records packed by shard of the user.

    Args:
        folder: of the shards, in the dataset folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(join_keyed, folder)

    def process(self, record: Keyed, num_shards: int) -> Sequence[Packed]:
        """Keeps a record; gives what is enough to be shuffled."""
        bucket = bucket_of(record[0], num_shards)
        return self.add(bucket, keyed_line(record), num_shards)


def num_shards_for(users: int, actions: int) -> int:
    """Shards by size; small datasets get one per 1,000 users, at most four.

    Example: (22_363, 198_502) -> 4; (10**8, 10**9) -> 60.
    """
    by_size = -(-actions * _BYTES_PER_ACTION // SHARD_BYTES)
    shards = _MIN_SHARDS
    while shards > 1 and users < shards * _USERS_PER_SHARD:
        shards //= 2
    return max(shards, by_size)

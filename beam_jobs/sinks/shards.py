"""Records -> sorted TFRecord shards, each written whole by one worker."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, IterableCoder, TupleCoder
from apache_beam.transforms.window import GlobalWindows

from beam_jobs.sinks.tfrecord_files import write_record
from beam_jobs.storage.digests import WrittenFile, new_gzip_stream
from beam_jobs.storage.files import as_path

Keyed = tuple[bytes, bytes]
"""A record, and before it what its shard is sorted by."""

Finish = Callable[[Iterator[Keyed]], Iterator[bytes]]
"""From a shard's sorted records to those that are written."""

_RECORDS_AT_ONCE = 1000
_CODER = IterableCoder(TupleCoder((BytesCoder(), BytesCoder())))


def shard_name(number: int, num_shards: int) -> str:
    """(0, 4) -> "part-00000-of-00004.tfrecord.gz"."""
    return f"part-{number:05d}-of-{num_shards:05d}.tfrecord.gz"


def shard_names(folders: Iterable[str], num_shards: int) -> list[str]:
    """The names of all shards of some folders."""
    numbers = range(num_shards)
    pairs = itertools.product(folders, numbers)
    return [f"{folder}/{shard_name(n, num_shards)}" for folder, n in pairs]


def records_only(records: Iterator[Keyed]) -> Iterator[bytes]:
    """All records, as they are."""
    return (record for _, record in records)


@dataclasses.dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Writes TFRecord shards: a collection of `WrittenFile`.

    Takes (name of the shard below the root, (sort key, record)). A shard is sorted in
    the memory of the worker that writes it. Every named shard is written, also one
    without records. A shard written twice is the same file.

    Args:
        root: the dataset folder being built.
        names: a collection of the names of all shards.
        finish: makes the written records of the sorted ones.
        compression: of gzip.
    """

    root: Path
    names: beam.PCollection
    finish: Finish = records_only
    compression: int = 9

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """(name, (sort key, record)) -> `WrittenFile`."""
        pairs = tuple[str, bytes]
        packed = records | "Pack" >> beam.ParDo(_Pack()).with_output_types(pairs)
        empty = self.names | "Empty" >> beam.Map(_without_records).with_output_types(
            pairs
        )
        write = functools.partial(
            write_shard,
            root=str(self.root),
            finish=self.finish,
            compression=self.compression,
        )
        return (
            (packed, empty)
            | "Flatten" >> beam.Flatten()
            | "ByShard" >> beam.GroupByKey()
            | "Write" >> beam.Map(write)
        )


class _Pack(beam.DoFn):
    """Joins a shard's records, so that few and large values are shuffled."""

    def start_bundle(self) -> None:
        self._records: dict[str, list[Keyed]] = {}

    def process(self, element: tuple[str, Keyed]) -> Iterator[tuple[str, bytes]]:
        name, record = element
        records = self._records.setdefault(name, [])
        records.append(record)
        if len(records) == _RECORDS_AT_ONCE:
            yield name, pack(self._records.pop(name))

    def finish_bundle(self) -> Iterator[Any]:
        for name, records in self._records.items():
            yield GlobalWindows.windowed_value((name, pack(records)))


def _without_records(name: str) -> tuple[str, bytes]:
    return name, b""


def pack(records: list[Keyed]) -> bytes:
    """Records as one compressed value."""
    return zlib.compress(_CODER.encode(records), 1)


def unpack(packed: bytes) -> list[Keyed]:
    """The reverse of `pack`; of nothing it is no records."""
    return list(_CODER.decode(zlib.decompress(packed))) if packed else []


def write_shard(
    shard: tuple[str, Iterable[bytes]], root: str, finish: Finish, compression: int
) -> WrittenFile:
    """Writes a shard's records in the order of their keys."""
    name, values = shard
    records = [record for packed in values for record in unpack(packed)]
    records.sort()
    number = 0
    with new_gzip_stream(as_path(root) / name, compression) as (stream, digest):
        for record in finish(iter(records)):
            write_record(stream, record)
            number += 1
    return digest.written(name, number)

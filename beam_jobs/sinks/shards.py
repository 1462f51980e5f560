"""Records -> sorted TFRecord shards, each written whole by one worker."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, IterableCoder
from apache_beam.transforms.window import GlobalWindows

from beam_jobs.sinks.encoding import write_records
from beam_jobs.storage.digests import WrittenFile, new_gzip_stream
from beam_jobs.storage.files import as_path

Packed = tuple[str, bytes]
"""A shard's name and some of its records as one value."""

Unpack = Callable[[bytes], list[Any]]
"""From a packed value to records that sort in a shard's order."""

Finish = Callable[[Iterator[Any]], Iterator[bytes]]
"""From a shard's sorted records to the bytes of those that are written."""

_RECORDS_AT_ONCE = 1000


def shard_name(number: int, num_shards: int) -> str:
    """(0, 4) -> "part-00000-of-00004.tfrecord.gz"."""
    return f"part-{number:05d}-of-{num_shards:05d}.tfrecord.gz"


def shard_names(folders: Iterable[str], num_shards: int) -> list[str]:
    """The names of all shards of some folders."""
    numbers = range(num_shards)
    pairs = itertools.product(folders, numbers)
    return [f"{folder}/{shard_name(n, num_shards)}" for folder, n in pairs]


@dataclasses.dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Writes TFRecord shards: a collection of `WrittenFile`.

    Takes collections of (name of the shard below the root, packed records), as a
    `PackingDoFn` gives them. A shard is sorted in the memory of the worker that writes
    it. Every named shard is written, also one without records. A shard written twice is
    the same file.

    Args:
        root: the dataset folder being built.
        names: a collection of the names of all shards.
        unpack: gives the records of a packed value.
        finish: makes what is written of the sorted records.
        compression: of gzip.
    """

    root: Path
    names: beam.PCollection
    unpack: Unpack
    finish: Finish
    compression: int = 9

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, packed: Sequence[beam.PCollection]) -> beam.PCollection:
        """Collections of (name, packed records) -> `WrittenFile`."""
        empty = self.names | "Empty" >> beam.Map(_without_records).with_output_types(
            tuple[str, bytes]
        )
        write = functools.partial(
            write_shard,
            root=str(self.root),
            unpack=self.unpack,
            finish=self.finish,
            compression=self.compression,
        )
        return (
            (*packed, empty)
            | "Flatten" >> beam.Flatten()
            | "ByShard" >> beam.GroupByKey()
            | "Write" >> beam.Map(write)
        )


class PackingDoFn(beam.DoFn):
    """Joins a shard's records, so that few and large values are shuffled.

    A subclass appends to `self.records[number]`, then gives what `full` gives.

    Args:
        pack: makes one value of records.
        folder: of the shards, in the dataset folder.
    """

    def __init__(self, pack: Callable[[list[Any]], bytes], folder: str) -> None:
        super().__init__()
        self._pack = pack
        self._folder = folder

    def start_bundle(self) -> None:
        """Begins without records."""
        self.records: defaultdict[int, list[Any]] = defaultdict(list)
        self._num_shards = 1

    def full(self, num_shards: int) -> list[Packed]:
        """The shards whose records are enough to be shuffled, which begin anew."""
        self._num_shards = num_shards
        full = [n for n, some in self.records.items() if len(some) >= _RECORDS_AT_ONCE]
        return [self._packed(number, self.records.pop(number)) for number in full]

    def add(self, number: int, record: Any, num_shards: int) -> Sequence[Packed]:
        """Keeps one record; gives its shard if it is full."""
        self._num_shards = num_shards
        records = self.records[number]
        records.append(record)
        return self.full(num_shards) if len(records) >= _RECORDS_AT_ONCE else ()

    def finish_bundle(self) -> Iterator[Any]:
        """Gives what is left."""
        for number, records in self.records.items():
            yield GlobalWindows.windowed_value(self._packed(number, records))

    def _packed(self, number: int, records: list[Any]) -> Packed:
        name = f"{self._folder}/{shard_name(number, self._num_shards)}"
        return name, zlib.compress(self._pack(records), 1)


def _without_records(name: str) -> Packed:
    return name, b""


def write_shard(
    shard: tuple[str, Iterable[bytes]],
    root: str,
    unpack: Unpack,
    finish: Finish,
    compression: int,
) -> WrittenFile:
    """Writes a shard's records in their order."""
    name, values = shard
    records = [
        record
        for packed in values
        if packed
        for record in unpack(zlib.decompress(packed))
    ]
    records.sort()
    with new_gzip_stream(as_path(root) / name, compression) as (stream, digest):
        number = write_records(stream, finish(iter(records)))
    return digest.written(name, number)._replace(arrived=len(records))


def join_lines(lines: list[bytes]) -> bytes:
    """Lines as one value."""
    return b"\n".join(lines)


def split_lines(joined: bytes) -> list[bytes]:
    """The reverse of `join_lines`."""
    return joined.split(b"\n")


_CODER = IterableCoder(BytesCoder())

Keyed = tuple[bytes, bytes]
"""A sort key within the shard, and a record."""


def keyed_line(record: Keyed) -> bytes:
    """A key and its record as one value, which sorts as the pair does.

    Raises:
        ValueError: if the key holds a zero byte, which divides both.
    """
    key, data = record
    if b"\0" in key:
        raise ValueError(f"a sort key must hold no zero byte. Received: {key!r}")
    return key + b"\0" + data


def join_keyed(lines: list[bytes]) -> bytes:
    """Keyed lines as one value."""
    return bytes(_CODER.encode(lines))


def split_keyed(joined: bytes) -> list[bytes]:
    """The reverse of `join_keyed`."""
    return list(_CODER.decode(joined))


def records_only(lines: Iterator[bytes]) -> Iterator[bytes]:
    """All records, as they are, without their keys."""
    return (line[line.index(0) + 1 :] for line in lines)

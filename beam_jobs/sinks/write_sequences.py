"""Sequences -> files of the work folder, from which a second pipeline goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_jobs.sequences import (
    UserSequence,
    parse_sequence_line,
    to_sequence_line,
)
from beam_jobs.sinks.encoding import read_records
from beam_jobs.sinks.shards import (
    Keyed,
    Packed,
    WriteShards,
    records_only,
    split_keyed,
)
from beam_jobs.sinks.write_examples import PackByUser
from beam_jobs.storage.files import as_path
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401


@dataclasses.dataclass(eq=False)
class WriteSequences(beam.PTransform):
    """Writes sequences: a collection of `WrittenFile`, empty if there is none.

    Args:
        root: the work folder.
        folder: name of the folder below it.
        num_shards: greatest number of files.
    """

    root: Path
    folder: str
    num_shards: int

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, sequences: beam.PCollection) -> beam.PCollection:
        """A collection of `UserSequence` -> `WrittenFile`."""
        none = sequences.pipeline | "NoEmptyShard" >> beam.Create([])
        packed = (
            sequences
            | "ToRecord" >> beam.Map(_to_record)
            | "Pack"
            >> beam.ParDo(PackByUser(self.folder), self.num_shards).with_output_types(
                Packed
            )
        )
        return (packed,) | "WriteShards" >> WriteShards(
            self.root, none, split_keyed, records_only, compression=1
        )


def _to_record(sequence: UserSequence) -> Keyed:
    return sequence.user, to_sequence_line(sequence)


@dataclasses.dataclass(eq=False)
class ReadSequences(beam.PTransform):
    """Reads what `WriteSequences` wrote: a collection of `UserSequence`.

    Args:
        paths: the files.
    """

    paths: Sequence[str]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> beam.PCollection:
        """The pipeline -> a collection of `UserSequence`."""
        return (
            pbegin.pipeline
            | "Files" >> beam.Create(list(self.paths))
            | "SpreadFiles" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read).with_output_types(UserSequence)
        )


def _read(path: str) -> Iterator[UserSequence]:
    return map(parse_sequence_line, read_records(as_path(path)))

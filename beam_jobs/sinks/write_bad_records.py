"""Bad records -> `bad_records/`, a file for each range of a log that has any."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam

from beam_jobs.layout import BAD_RECORDS
from beam_jobs.storage.digests import WrittenFile, write_whole
from beam_jobs.transforms.read_interactions import BadEntry


@dataclasses.dataclass(eq=False)
class WriteBadRecords(beam.PTransform):
    """Writes bad records: a collection of `WrittenFile`.

    Args:
        root: the dataset folder being built.
    """

    root: Path

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, bad_records: beam.PCollection) -> beam.PCollection:
        """A collection of `BadEntry` -> `WrittenFile`."""
        return (
            bad_records
            | "KeyByRange" >> beam.Map(_keyed)
            | "ByRange" >> beam.GroupByKey()
            | "Write" >> beam.Map(write_entries, str(self.root))
        )


def _keyed(bad: BadEntry) -> tuple[str, tuple[int, str]]:
    # Base names may repeat, and a path may hold what no file's name can.
    digest = hashlib.sha256(bad.path.encode("utf-8", "surrogateescape")).hexdigest()
    return f"part-{digest[:8]}-{bad.start:013d}.jsonl", (bad.offset, bad.entry)


def write_entries(
    group: tuple[str, Iterable[tuple[int, str]]], root: str
) -> WrittenFile:
    """Writes the entries of a range in the order of their offsets."""
    name, entries = group
    lines = [entry.encode() + b"\n" for _, entry in sorted(entries)]
    written = write_whole(root, f"{BAD_RECORDS}/{name}", b"".join(lines))
    return written._replace(arrived=len(lines))

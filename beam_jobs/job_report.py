"""Report of a pipeline to its driver: a small file of counts and file digests."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_jobs.layout import ACTIONS, BAD_RECORDS
from beam_jobs.storage.digests import WrittenFile
from beam_jobs.storage.files import as_path, new_file
from beam_jobs.storage.identity import FileIdentity
from beam_jobs.transforms.singletons import CombineOnOneWorker

COUNT, FILE, INPUT, ERROR = "count", "file", "input", "error"
CONFLICT, TWIN, BAD_EXAMPLE = "conflict", "twin", "bad_example"
LARGEST_USER, LARGEST_ITEM = "largest_user", "largest_item"
HEAD, UNFINISHED = "head", "unfinished"


@dataclasses.dataclass
class JobReport:
    """Attributes are what was noted under the kinds above.

    Attributes:
        counts: every counter's sum.
        files: all files written into the dataset folder.
        inputs: the input files.
        errors: why inputs cannot be read.
        conflicts: users with two items at one position.
        twins: ids that occur as `17850` and `17850.0`.
        bad_examples: the first bad records.
        largest_users: (actions, raw id), the largest among them.
        largest_items: likewise.
        head: who is head, as in `HeadRule`.
        unfinished: files of the work folder that hold what the k-core left.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    files: list[WrittenFile] = dataclasses.field(default_factory=list)
    inputs: list[FileIdentity] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    conflicts: list[str] = dataclasses.field(default_factory=list)
    twins: list[str] = dataclasses.field(default_factory=list)
    bad_examples: list[str] = dataclasses.field(default_factory=list)
    largest_users: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    largest_items: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    head: tuple[int, int] = (0, 1)
    unfinished: list[WrittenFile] = dataclasses.field(default_factory=list)

    def forget_core(self) -> None:
        """Drops what a further pipeline reports again: all but what was read."""
        self.unfinished, self.head = [], (0, 1)
        self.files = [
            file for file in self.files if file.name.startswith((ACTIONS, BAD_RECORDS))
        ]

    def add(self, kind: str, value: Any) -> None:
        """Adds a note as it was read from the file."""
        if kind == COUNT:
            name, number = value
            self.counts[name] = self.counts.get(name, 0) + number
        elif kind == FILE:
            self.files.append(WrittenFile(*value))
        elif kind == UNFINISHED:
            self.unfinished.append(WrittenFile(*value))
        elif kind == HEAD:
            self.head = tuple(value[:2])
        elif kind == INPUT:
            self.inputs.append(FileIdentity(*value))
        elif kind in (LARGEST_USER, LARGEST_ITEM):
            getattr(self, f"{kind}s").append(tuple(value))
        else:
            getattr(self, f"{kind}s").append(value)


@dataclasses.dataclass(eq=False)
class WriteReport(beam.PTransform):
    """Writes (kind, value) pairs as one JSON file."""

    path: Path

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, notes: beam.PCollection) -> beam.PCollection:
        """A collection of (kind, value) -> the file's path."""
        return (
            notes
            | "List" >> CombineOnOneWorker(beam.combiners.ToListCombineFn())
            | "Write" >> beam.Map(_write, str(self.path))
        )


@dataclasses.dataclass(eq=False)
class Note(beam.PTransform):
    """Puts a kind before every value."""

    kind: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        """Values -> (kind, value)."""
        return values | beam.Map(_with_kind, self.kind)


def _with_kind(value: Any, kind: str) -> tuple[str, Any]:
    return kind, value


def _write(notes: list[tuple[str, Any]], path: str) -> str:
    with new_file(as_path(path)) as stream:
        stream.write(json.dumps(notes, default=_as_text).encode())
    return path


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def read_report(path: Path, report: JobReport | None = None) -> JobReport:
    """The report of a pipeline, added to that of the one before."""
    report = report or JobReport()
    for kind, value in json.loads(path.read_bytes()):
        report.add(kind, value)
    return report

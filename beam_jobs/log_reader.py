"""Log file -> action lines, bad lines set aside; no Beam."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from beam_jobs.logs.bad_records import bad_record_entry
from beam_jobs.logs.files import MAX_LINE_BYTES, InputError
from beam_jobs.logs.interactions import BadRecord, Interaction
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import LineParser, make_parser
from beam_jobs.logs.reading import read_records
from beam_jobs.logs.selection import Selection
from beam_jobs.records import to_action_line
from beam_jobs.storage.files import new_file

DAY_MS = 86_400_000


class LogSummary(NamedTuple):
    """What reading one file came to.

    Attributes:
        lines: lines that are not blank.
        actions: valid and selected actions.
        not_selected: valid actions left out by `Selection`.
        bad: number of bad lines per reason.
        days: valid actions by day since 1970 (UTC), none where the log has no times.
        example: the first bad line's entry in `bad_records/`, or None.
        error: why the file could not be read to its end, or None.
    """

    lines: int
    actions: int
    not_selected: int
    bad: dict[str, int]
    days: dict[int, int]
    example: str | None = None
    error: str | None = None


class LogReader:
    """Reads one file: iterate over it, then take its `summary`."""

    def __init__(
        self,
        log_file: LogFile,
        selection: Selection,
        bad_records_dir: Path,
    ) -> None:
        self._file = log_file
        self._selection = selection
        self._bad_path = bad_records_dir / f"part-{log_file.number:05d}.jsonl"
        self._bad_stream: BinaryIO | None = None
        self._counts: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._days: Counter[int] = Counter()
        self._example: str | None = None
        self._error: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        """The action lines."""
        with contextlib.ExitStack() as stack:
            for interaction in self._selected(stack):
                yield to_action_line(interaction, self._file.split_number)

    def summary(self) -> LogSummary:
        """The counts, once the iteration is over."""
        return LogSummary(
            self._counts["lines"],
            self._counts["actions"],
            self._counts["not_selected"],
            dict(self._bad),
            dict(self._days),
            self._example,
            self._error,
        )

    def _selected(self, stack: contextlib.ExitStack) -> Iterator[Interaction]:
        has_times = self._file.line_format.shape != "sequences"
        for interaction in self._valid(stack):
            if has_times:
                self._days[interaction.timestamp_ms // DAY_MS] += 1
            if self._selection.admits(interaction):
                self._counts["actions"] += 1
                yield interaction
            else:
                self._counts["not_selected"] += 1

    def _valid(self, stack: contextlib.ExitStack) -> Iterator[Interaction]:
        line_format = self._file.line_format
        parse = make_parser(line_format, self._selection.min_rating is not None)
        try:
            for _, number, line in read_records(self._file.path, line_format):
                self._counts["lines"] += 1
                try:
                    interactions = _parse_bounded(parse, line)
                except BadRecord as bad:
                    self._set_aside(stack, number or 0, line, bad)
                else:
                    yield from interactions
        except InputError as error:
            self._error = str(error)

    def _set_aside(
        self, stack: contextlib.ExitStack, number: int, line: bytes, bad: BadRecord
    ) -> None:
        self._bad[bad.reason] += 1
        entry = bad_record_entry(self._file.name, number, line, bad)
        if self._bad_stream is None:
            self._bad_stream = stack.enter_context(new_file(self._bad_path))
            self._example = entry
        self._bad_stream.write(entry.encode() + b"\n")


def _parse_bounded(parse: LineParser, line: bytes) -> list[Interaction]:
    if len(line) > MAX_LINE_BYTES:
        raise BadRecord("line_too_long", f"more than {MAX_LINE_BYTES} bytes")
    return parse(line)

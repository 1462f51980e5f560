"""The first lines of a log file, and what they are when they are divided."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from beam_jobs.logs.containers import Container, find_container
from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.reading import read_records
from beam_jobs.logs.tables import DELIMITERS, Table, make_table

SAMPLE_LINES = 200
"""Lines of a file that a decision looks at."""

_SAMPLE_BYTES = 1 << 20


class Fit(NamedTuple):
    """A format that fits a file, and why."""

    line_format: LineFormat
    reason: str


@dataclass(frozen=True)
class Sample:
    """The first lines of a file.

    Attributes:
        path: the file.
        container: what its bytes are wrapped in.
        lines: those that are not blank, bytes that are no UTF-8 replaced.
        options: the format, as far as flags give it.
    """

    path: str
    container: Container
    lines: tuple[str, ...]
    options: FormatOptions

    @functools.cached_property
    def tables(self) -> list[Table]:
        """The lines divided by each delimiter that may be meant."""
        named = self.options.delimiter
        delimiters = DELIMITERS if named is None else (named,)
        return [
            make_table(self.lines, delimiter, self.options.quotes)
            for delimiter in delimiters
        ]

    @property
    def regular_tables(self) -> list[Table]:
        """The tables most of whose rows have the same number of columns."""
        return [table for table in self.tables if table.is_regular]

    @functools.cached_property
    def objects(self) -> list[dict[str, object]]:
        """The lines that are JSON objects."""
        found = []
        for line in self.lines:
            if line.lstrip().startswith("{"):
                try:
                    found.append(orjson.loads(line))
                except orjson.JSONDecodeError:
                    continue
        return found

    @property
    def is_json(self) -> bool:
        """Whether most lines are JSON objects."""
        return len(self.objects) > 0.5 * len(self.lines)

    def quotes_of(self, table: Table) -> str:
        """The quotes of a table.

        Raises:
            InputError: if its lines contradict each other.
        """
        if table.quotes is None:
            raise InputError(
                f"{self.path}: it is not clear whether quotes enclose fields, since "
                "some that begin with a quote do not end with one. Give `--quotes "
                "none` where quotes are characters like others, or `--quotes "
                "multiline` where quoted fields may hold delimiters and line breaks"
            )
        return table.quotes


def read_sample(path: str, options: FormatOptions) -> Sample:
    """The first lines of a file.

    Raises:
        InputError: if it cannot be read, or is no log (see `find_container`).
    """
    container = find_container(path)
    as_lines = LineFormat(
        "", "record", container=container.kind, line_end=container.line_end
    )
    lines: list[str] = []
    num_bytes = 0
    for record in itertools.islice(read_records(path, as_lines), SAMPLE_LINES):
        num_bytes += len(record.content)
        lines.append(record.content.decode("utf-8", "replace"))
        if num_bytes > _SAMPLE_BYTES:
            break
    return Sample(path, container, tuple(lines), options)

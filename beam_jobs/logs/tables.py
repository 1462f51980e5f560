"""The first lines of a file as a table: delimiter, quotes, columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.quoting import QUOTE, ends_inside, field_quotes, split_columns

DELIMITERS = ("\t", ",", ";", "|", "::", BLANKS)
"""Those that are looked for, the more telling first."""

_FEW = 0.1
"""Share of lines up to which they are taken for damaged ones."""


class Table(NamedTuple):
    """The first records of a file, divided into columns.

    Attributes:
        delimiter: between the columns.
        quotes: as of `LineFormat`; None where that is not clear.
        records: the records' texts.
        rows: their columns; none for a record that cannot be divided.
        width: the number of columns of most rows.
        share: share of rows of that width.
    """

    delimiter: str
    quotes: str | None
    records: list[str]
    rows: list[list[str]]
    width: int
    share: float

    @property
    def is_regular(self) -> bool:
        """Whether most rows have the same number of columns, and more than one."""
        return self.width > 1 and self.share > 0.5

    def column(self, position: int, below_header: bool) -> list[str]:
        """The values of a column, as far as rows have it."""
        rows = self.rows[1:] if below_header else self.rows
        return [row[position] for row in rows if len(row) > position]


def find_tables(
    lines: Sequence[str], delimiter: str | None, quotes: str | None
) -> list[Table]:
    """The first lines as tables by every delimiter that may be meant.

    Args:
        lines: the first lines.
        delimiter: the one that the user names, or None.
        quotes: what the user says of quotes, or None.
    """
    delimiters = DELIMITERS if delimiter is None else (delimiter,)
    tables = [make_table(lines, each, quotes) for each in delimiters]
    return [table for table in tables if delimiter or table.is_regular]


def make_table(lines: Sequence[str], delimiter: str, quotes: str | None) -> Table:
    """The first lines as a table by a given delimiter."""
    found = quotes or find_quotes(lines, delimiter)
    records = list(lines)
    if found == "multiline":
        records = join_records(lines, delimiter)[0]
    rows = [_columns(record, delimiter, found or "inline") for record in records]
    widths = Counter(len(row) for row in rows)
    width, number = widths.most_common(1)[0]
    return Table(delimiter, found, records, rows, width, number / len(rows))


def _columns(record: str, delimiter: str, quotes: str) -> list[str]:
    try:
        return split_columns(record, delimiter, quotes)
    except BadRecord:
        return []


def find_quotes(lines: Sequence[str], delimiter: str) -> str | None:
    """The `quotes` of a `LineFormat`, told by lines; None where they contradict.

    A field that begins with a quote and does not end with one shows that its writer
    does not quote, since a writer who does would double the quotes within.
    """
    sound = odd = open_lines = 0
    for line in lines:
        closed = field_quotes(line, delimiter) if QUOTE in line else []
        sound += bool(closed) and all(closed)
        odd += not all(closed)
        open_lines += QUOTE in line and ends_inside(line, delimiter)
    if open_lines:
        return "multiline" if _joins_well(lines, delimiter) else None
    if not odd:
        return "multiline" if sound else "inline"
    if odd <= _FEW * sound:
        return "multiline"
    return "none" if sound <= _FEW * odd else None


def _joins_well(lines: Sequence[str], delimiter: str) -> bool:
    """Whether the open fields of all lines are closed properly by later ones."""
    records, odd = join_records(lines, delimiter)
    return bool(records) and not odd


def join_records(lines: Sequence[str], delimiter: str) -> tuple[list[str], int]:
    """Lines joined where a quoted field goes on; the number of those that end oddly.

    A last record that the sample cuts is left out.
    """
    records: list[str] = []
    open_lines: list[str] = []
    odd = 0
    for line in lines:
        is_open = ends_inside(line, delimiter, inside=bool(open_lines))
        if open_lines and not all(field_quotes(line, delimiter, inside=True)):
            odd += 1
        open_lines.append(line)
        if not is_open:
            records.append("\n".join(open_lines))
            open_lines = []
    return records, odd

"""The check that a log's column of times holds times."""

from __future__ import annotations

from collections.abc import Callable

from beam_jobs.logs.files import InputError
from beam_jobs.logs.json_parsers import make_json_time_parser
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.sample import Sample
from beam_jobs.logs.suggestions import (
    csv_flags,
    time_columns,
)
from beam_jobs.logs.tables import Table, make_table
from beam_jobs.logs.time_checks import doubt_times, shown_values, unread_form
from beam_jobs.logs.time_kinds import Value


def check_column_of_times(sample: Sample, line_format: LineFormat) -> None:
    """Refuses times that cannot be times, unless the user says what they are.

    Amazon's JSON is not looked at, since its fields say their unit.

    Raises:
        InputError: with the first values, and what to do.
    """
    options = sample.options
    if options.time_unit is not None or options.time_format is not None:
        return
    if line_format.shape not in ("record", "delimited"):
        return
    time_of: Callable[[object], int] = make_json_time_parser(line_format)
    if line_format.shape == "record":
        place = line_format.fields[2]
        values = _json_times(sample, place)
        table = None
    else:
        table = make_table(sample.lines, line_format.delimiter, line_format.quotes)
        place = _column_name(table, line_format)
        values = list(table.column(line_format.time, line_format.has_header))
    doubt = (unread_form(values) or doubt_times(values, time_of)) if values else None
    if doubt is None:
        return
    remedy = doubt.remedy
    if doubt.is_no_time and table is not None:
        remedy = _another_column(table, line_format) or remedy
    raise InputError(
        f"{sample.path}: the times of {place}, such as {shown_values(values)}, "
        f"{doubt.finding}: {remedy}"
    )


def _json_times(sample: Sample, field: str) -> list[Value]:
    found = (record.get(field) for record in sample.objects)
    return [
        value
        for value in found
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]


def _column_name(table: Table, line_format: LineFormat) -> str:
    name = f"column {line_format.time}"
    if line_format.has_header and len(table.rows[0]) > line_format.time:
        name += f" ({table.rows[0][line_format.time].strip()})"
    return name


def _another_column(table: Table, line_format: LineFormat) -> str | None:
    """The flags that name a column of times beside the one that was named."""
    others = [p for p in time_columns(table) if p != line_format.time]
    flags = csv_flags(table) if others else None
    return f"give `{flags}`" if flags else None

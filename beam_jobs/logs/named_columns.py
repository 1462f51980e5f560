"""Delimited files whose columns `--columns` names, by header or position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beam_jobs.logs.column_names import find_role, untyped
from beam_jobs.logs.conversions import below_command, join_command
from beam_jobs.logs.delimited_formats import is_number
from beam_jobs.logs.files import InputError
from beam_jobs.logs.flags import delimiter_name
from beam_jobs.logs.format_options import Columns
from beam_jobs.logs.line_format import BLANKS, LineFormat
from beam_jobs.logs.remedies import convert_to_utf8
from beam_jobs.logs.sample import Fit, Sample
from beam_jobs.logs.suggestions import (
    best_table,
    clock_beside,
    is_missing,
)
from beam_jobs.logs.tables import Table
from beam_jobs.logs.time_kinds import readable_share
from beam_jobs.logs.times import make_time_parser


def columns_as_flag(columns: Columns) -> str:
    """The value of `--columns`."""
    return ",".join(f"{role}={name}" for role, name in columns.items())


def named_csv(sample: Sample) -> Fit:
    """The format of a delimited file.

    Raises:
        InputError: if the columns are not named, or it does not have them.
    """
    columns = sample.options.columns
    if columns is None:
        raise InputError("`--format csv` needs `--columns user=...,item=...,time=...`")
    if all(value.isdecimal() for value in columns.values()):
        positions = {role: int(value) for role, value in columns.items()}
        table = _table_of_positions(sample, positions)
        has_names = _begins_with_names(sample, table, positions)
        if table.delimiter == BLANKS and clock_beside(table, positions["time"]):
            raise InputError(_divided_times(sample, table, positions["time"]))
        return _fit(sample, table, positions, None, has_names)
    table, positions = _table_of_names(sample, columns)
    return _fit(sample, table, positions, len(table.rows[0]), True)


def _divided_times(sample: Sample, table: Table, position: int) -> str:
    date, clock = table.rows[-1][position : position + 2]
    return (
        f"{sample.path}: blanks divide the columns and the times, such as {date} "
        f"{clock}: join them by `{join_command(sample)}`"
    )


def fits_named_csv(sample: Sample) -> list[Fit]:
    """The format if most lines have a time where `--columns` names it."""
    try:
        fit = named_csv(sample)
    except InputError:
        return []
    line_format = fit.line_format
    table = next(t for t in sample.tables if t.delimiter == line_format.delimiter)
    share = _time_share(sample, table, line_format.time, line_format.has_header)
    return [fit] if share > 0.5 else []


def _fit(
    sample: Sample,
    table: Table,
    positions: Mapping[str, int],
    num_columns: int | None,
    has_names: bool,
) -> Fit:
    options = sample.options
    line_format = LineFormat(
        "csv",
        "delimited",
        table.delimiter,
        user=positions["user"],
        item=positions["item"],
        time=positions["time"],
        rating=positions.get("rating"),
        num_columns=num_columns,
        has_header=has_names,
        time_unit=options.time_unit or "auto",
        time_format=options.time_format,
        quotes=sample.quotes_of(table),
    )
    divided = "" if table.delimiter == "," else delimiter_name(table.delimiter)
    reason = "columns as named by --columns"
    return Fit(line_format, f"{reason}, divided by {divided}" if divided else reason)


def _table_of_names(sample: Sample, columns: Columns) -> tuple[Table, dict[str, int]]:
    """The table whose first row has the names, and their positions."""
    for table in sample.tables:
        header = table.rows[0]
        positions = {role: _find(header, name) for role, name in columns.items()}
        found = {r: p for r, p in positions.items() if p is not None}
        if len(found) == len(columns):
            return table, found
    table = best_table(sample.tables) or _by_comma(sample)
    raise InputError(_without_column(sample, table, columns))


def _by_comma(sample: Sample) -> Table:
    commas = [table for table in sample.tables if table.delimiter == ","]
    return (commas or sample.tables)[0]


def _find(header: Sequence[str], name: str) -> int | None:
    """The position of the only column of a name, with or without RecBole's type."""
    for names in (
        [cell.strip() for cell in header],
        [untyped(cell) for cell in header],
    ):
        if names.count(name) == 1:
            return names.index(name)
    return None


def _without_column(sample: Sample, table: Table, columns: Columns) -> str:
    header = [cell.strip() for cell in table.rows[0]]
    role, name = next(
        (role, name) for role, name in columns.items() if _find(header, name) is None
    )
    number = "more than one" if name in header else "no"
    shown = table.delimiter.join(header)[:200] or sample.lines[0][:200]
    if below := _header_below(sample, columns):
        return (
            f"{sample.path} has its header in line {below} of those that are filled: "
            f"take the lines before it out by `{below_command(sample, below)}`"
        )
    return (
        f"{sample.path} has {number} column {name!r}, named as {role} by `--columns` "
        f"{columns_as_flag(columns)}. Its header: {shown}{_headless(sample, header)}"
    )


def _header_below(sample: Sample, columns: Columns) -> int | None:
    """The number of the line that has the names, if it is not the first."""
    for table in sample.tables:
        for number, row in enumerate(table.rows, start=1):
            if all(_find(row, name) is not None for name in columns.values()):
                return number
    return None


def _headless(sample: Sample, header: Sequence[str]) -> str:
    if sample.is_json:
        return ". That is JSON: give `--format json`"
    if any("\ufffd" in name for name in header):
        return f". {convert_to_utf8(sample.path, sample.container.kind)}"
    if not any(map(is_number, header)):
        return ""
    return (
        ". That looks like data: the columns of a file without header are named by "
        "position, such as `--columns user=0,item=1,time=2`"
    )


def _table_of_positions(sample: Sample, positions: Mapping[str, int]) -> Table:
    """The table whose column of times can be read, or else the likeliest one."""
    last = max(positions.values())
    wide = [
        table
        for table in sample.tables
        if sum(len(row) > last for row in table.rows) > 0.5 * len(table.rows)
    ]
    # Blanks divide dates and titles too, so that any other delimiter comes first.
    if any(table.is_regular and table.delimiter != BLANKS for table in wide):
        wide = [table for table in wide if table.delimiter != BLANKS]
    timed = [
        table
        for table in wide
        if _time_share(sample, table, positions["time"], has_names=False) > 0.5
        or _time_share(sample, table, positions["time"], has_names=True) > 0.5
    ]
    for tables in (timed, wide, sample.tables):
        if found := best_table(tables):
            return found
    return (timed or wide or [_by_comma(sample)])[0]


def _time_share(sample: Sample, table: Table, position: int, has_names: bool) -> float:
    options = sample.options
    parse = make_time_parser(options.time_unit or "auto", options.time_format)
    times = table.column(position, has_names)
    return readable_share(times, parse) if times else 0.0


def _begins_with_names(
    sample: Sample, table: Table, positions: Mapping[str, int]
) -> bool:
    """Whether the first line has words where the others have ids and a time."""
    first = table.rows[0]
    time = positions["time"]
    if len(first) <= max(positions.values()) or is_missing(first[time]):
        return False
    named = [first[position] for position in positions.values()]
    is_words = not any(map(str.isdigit, "".join(named)))
    is_name = find_role(first, "time") == time and not any(map(is_number, first))
    has_times = _time_share(sample, table, time, has_names=True) > 0.5
    return (is_words or is_name) and has_times

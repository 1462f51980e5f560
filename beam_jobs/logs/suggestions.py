"""Commands that a refusal ends in: the flags that seem to read a file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from beam_jobs.logs.column_names import find_role
from beam_jobs.logs.flags import delimiter_name
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.tables import Table
from beam_jobs.logs.time_kinds import MOST, time_flags

_ROLES = ("user", "item", "time")
_MISSING = ("", "na", "nan", "null", "none", "\\n")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?Z?")
_LIST = re.compile(r"\[?[^,;|]+(?:[,;|][^,;|]+)+\]?")
_DECIMAL = re.compile(r"-?\d*\.\d+(?:[eE][+-]?\d+)?")


def describe_table(table: Table) -> str:
    """Describes a table for a message."""
    name = "blanks" if table.delimiter == BLANKS else delimiter_name(table.delimiter)
    header = "a header" if has_header(table) else "no header"
    return f"{table.width} columns divided by {name}, {header}"


def has_header(table: Table) -> bool:
    """Whether the first row names the columns: words where others have a number."""
    first, rows = table.rows[0], table.rows[1:]
    if not first or any(_has_digit_only(cell) for cell in first):
        return False
    if find_role(first, "user") is not None and find_role(first, "item") is not None:
        return True
    below = [row for row in rows if len(row) == len(first)]
    return any(
        not any(map(str.isdigit, cell))
        and not is_missing(cell)
        and sum(_has_digit_only(row[position]) for row in below) > 0.5 * len(below)
        for position, cell in enumerate(first)
        if below
    )


def _has_digit_only(text: str) -> bool:
    """Whether a cell is a number or a date."""
    signs = " -/:.+TZ"
    return any(map(str.isdigit, text)) and all(c.isdigit() or c in signs for c in text)


def best_table(tables: Sequence[Table]) -> Table | None:
    """The table that lines most likely are; None where none is regular."""
    regular = [table for table in tables if table.is_regular and table.share > 0.8]
    # Blanks divide dates and titles too, so that any other delimiter comes first.
    others = [table for table in regular if table.delimiter != BLANKS]
    return max(others or regular, key=lambda table: table.width, default=None)


def time_columns(table: Table) -> dict[int, list[str]]:
    """The columns that may be times, and the flags by which each is read."""
    found = {}
    for position in range(table.width):
        values = table.column(position, has_header(table))
        if flags := time_flags([value for value in values if value]):
            found[position] = flags
    return found


def clock_beside(table: Table, position: int) -> bool:
    """Whether the column behind one of dates has times of the day."""
    values = table.column(position + 1, has_header(table))
    clocks = sum(bool(_CLOCK.fullmatch(value)) for value in values)
    return bool(values) and clocks > 0.5 * len(values)


def csv_flags(table: Table) -> str | None:
    """The flags that read a table; None where no column is a time.

    Example: "--format csv --delimiter tab --columns user=0,item=1,time=2".
    """
    names = table.rows[0] if has_header(table) else []
    times = time_columns(table)
    positions = _positions(table, names, list(times))
    if positions is None:
        return None
    if table.delimiter == BLANKS and clock_beside(table, positions["time"]):
        return None
    flags = ["--format csv"]
    if table.delimiter != ",":
        flags.append(f"--delimiter {delimiter_name(table.delimiter)}")
    flags.append(f"--columns {shlex.quote(_columns(positions, names))}")
    if times[positions["time"]][0]:
        flags.append(times[positions["time"]][0])
    return " ".join(flags)


def _positions(
    table: Table, names: Sequence[str], times: Sequence[int]
) -> dict[str, int] | None:
    """User, item and time: by name, else the first columns that may be ids."""
    if not times or table.width < len(_ROLES):
        return None
    columns = [table.column(p, bool(names)) for p in range(table.width)]
    empty = [p for p, values in enumerate(columns) if _is_mostly_missing(values)]
    time = find_role(names, "time", set(range(table.width)) - set(times))
    found = {"time": times[0] if time is None else time}
    for role in ("user", "item"):
        position = find_role(names, role, [*found.values(), *empty])
        if position is None:
            taken = {*found.values(), *times, *empty}
            taken.add(find_role(names, "item" if role == "user" else "user") or -1)
            left = [p for p in range(table.width) if p not in taken]
            ids = [p for p in left if not _are_decimals(columns[p])]
            if not left:
                return None
            position = (ids or left)[0]
        found[role] = position
    return {role: found[role] for role in _ROLES}


def _is_mostly_missing(values: Sequence[str]) -> bool:
    return sum(map(is_missing, values)) > 0.5 * len(values)


def is_missing(text: str) -> bool:
    """Whether a cell stands for a missing value."""
    return text.strip().lower() in _MISSING


def _are_decimals(values: Sequence[str]) -> bool:
    """Whether values are measures, such as prices or places, rather than ids."""
    return sum(bool(_DECIMAL.fullmatch(v)) for v in values) > 0.5 * len(values)


def _columns(positions: Mapping[str, int], names: Sequence[str]) -> str:
    chosen = {
        role: names[position].strip() if names else str(position)
        for role, position in positions.items()
    }
    is_plain = all(
        name and names.count(name) == 1 and "," not in name and "=" not in name
        for name in chosen.values()
        if names
    )
    if not is_plain:
        chosen = {role: str(position) for role, position in positions.items()}
    return ",".join(f"{role}={name}" for role, name in chosen.items())


def json_flags(records: Sequence[Mapping[str, object]]) -> str | None:
    """The flags that read JSON objects; None where a role has no field by its name."""
    names = list(records[0])
    times = {}
    for name in names:
        if found := time_flags([str(each.get(name, "")) for each in records]):
            times[name] = found
    by_name = {role: find_role(names, role) for role in _ROLES}
    user, item, time = (by_name[role] for role in _ROLES)
    name_of_time = names[time] if time is not None else None
    if name_of_time not in times:
        name_of_time = next(iter(times), None)
    if user is None or item is None or name_of_time is None:
        return None
    columns = f"user={names[user]},item={names[item]},time={name_of_time}"
    flags = f"--format json --columns {shlex.quote(columns)}"
    return f"{flags} {times[name_of_time][0]}".strip()


def holds_lists(table: Table) -> bool:
    """Whether a table is of users and lists of items, divided by commas or the like."""
    lists = [bool(_LIST.fullmatch(row[1])) for row in table.rows if len(row) == 2]
    return table.width == 2 and sum(lists) > 0.5 * len(table.rows)


def has_ids(table: Table) -> bool:
    """Whether most cells of the first two columns can be ids."""
    cells = [cell for row in table.rows for cell in row[:2]]
    ids = sum(" " not in cell.strip() and bool(cell) for cell in cells)
    return ids > MOST * len(cells)

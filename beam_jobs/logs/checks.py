"""Checks of a log's first lines, before the job reads all of it.

A file that cannot be read as its format says, and a log whose user and item columns are
swapped, would otherwise cost a whole run, or pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

from beam_jobs.logs.files import InputError
from beam_jobs.logs.interactions import BadRecord, Interaction
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import make_parser
from beam_jobs.logs.reading import Record, read_records
from beam_jobs.logs.remedies import remedy
from beam_jobs.logs.sample import SAMPLE_LINES

SWAPPED_COLUMNS = "swapped_columns"
"""The check of columns by its name in `--allow`."""

_UNITS = {
    "s": "in seconds",
    "ms": "in milliseconds",
    "us": "in microseconds",
    "ns": "in nanoseconds",
}


def first_records(log_file: LogFile) -> list[Record]:
    """The first records that should be actions."""
    records = read_records(log_file.path, log_file.line_format)
    return list(itertools.islice(records, SAMPLE_LINES))


def parse_first_lines(log_file: LogFile) -> list[Interaction]:
    """The actions of the first lines.

    Raises:
        InputError: if there are lines, but not one of them is an action; names what was
            expected, and what was found instead.
    """
    records = first_records(log_file)
    parse = make_parser(log_file.line_format, with_rating=False)
    bad: list[tuple[Record, BadRecord]] = []
    interactions: list[Interaction] = []
    for record in records:
        try:
            interactions += parse(record.content)
        except BadRecord as error:
            bad.append((record, error))
    if records and len(bad) == len(records):
        raise InputError(_unreadable(log_file, len(records), *bad[0]))
    return interactions


def _unreadable(
    log_file: LogFile, num_lines: int, record: Record, bad: BadRecord
) -> str:
    lines = f"none of its first {num_lines} lines" if num_lines > 1 else "its only line"
    text = record.content[:200].decode("utf-8", "replace")
    verb = "can" if num_lines > 1 else "cannot"
    line_format = log_file.line_format
    return (
        f"{log_file.path}: {lines} {verb} be read. Expected: "
        f"{'; '.join(expected_line(line_format))}. Line {record.number}: {bad}. "
        f"Received: {text!r}. {remedy(log_file.path, line_format, bad.reason)}"
    )


def expected_line(line_format: LineFormat) -> Iterator[str]:
    """Describes a good line of a format for a message."""
    if line_format.shape == "json":
        yield "JSON with reviewerID, asin and unixReviewTime (seconds)"
        yield "or with user_id, parent_asin or asin, and timestamp (milliseconds)"
    elif line_format.shape == "record":
        roles = ("user", "item", "time", "rating")
        named = zip(roles, line_format.fields, strict=False)
        yield "JSON with " + ", ".join(f"{name} ({role})" for role, name in named)
    elif line_format.shape == "sequences":
        yield "a user and at least one item, divided by blanks"
    else:
        unit = _UNITS.get(line_format.time_unit, "or date")
        if line_format.time_format is not None:
            unit = f"of the form {line_format.time_format}"
        yield (
            f"columns divided by {line_format.delimiter!r}, counted from 0: user in "
            f"{line_format.user}, item in {line_format.item}, time {unit} in "
            f"{line_format.time}"
        )


def check_columns(
    log_file: LogFile, interactions: list[Interaction], known_items: Collection[str]
) -> None:
    """Refuses a log whose users are the items of the dataset that it goes on from.

    Args:
        log_file: the log.
        interactions: of its first lines.
        known_items: raw ids of the earlier dataset's items.

    Raises:
        InputError: if most users are known as items while most items are not.
    """
    if not interactions:
        return
    users = sum(each.user in known_items for each in interactions)
    items = sum(each.item in known_items for each in interactions)
    if users > 0.5 * len(interactions) > items:
        raise InputError(
            f"{log_file.path}: users and items seem to be swapped. Of its first "
            f"{len(interactions)} actions, {users} have a user that is an item of the "
            f"dataset before (such as {interactions[0].user!r}), and {items} an item "
            f"that is one. Read as: {'; '.join(expected_line(log_file.line_format))}. "
            f"Swap them in `--columns`, or let it pass by `--allow {SWAPPED_COLUMNS}`"
        )

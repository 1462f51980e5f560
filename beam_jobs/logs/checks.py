"""What a log's first lines tell before the job reads all of it.

A file that cannot be read as its format says, and a log whose user and item columns are
swapped, would otherwise cost a whole run, or pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

from beam_jobs.logs.files import InputError, read_lines
from beam_jobs.logs.formats import SAMPLE_LINES
from beam_jobs.logs.interactions import BadRecord, Interaction
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import make_parser

SWAPPED_COLUMNS = "swapped_columns"
"""The check of columns by its name in `--allow`."""

Line = tuple[int, bytes]
"""A line's number in its file, from 1, and its bytes."""


def first_lines(log_file: LogFile) -> list[Line]:
    """The first lines that should be actions: neither blank nor the header."""
    line_format = log_file.line_format
    lines = enumerate(read_lines(log_file.path, line_format.fields), start=1)
    first = 1 if line_format.has_header else 0
    # Bounded, since a file may hold nothing but blank lines.
    few = itertools.islice(lines, first, 2 * SAMPLE_LINES)
    filled = (numbered for numbered in few if numbered[1].strip())
    return list(itertools.islice(filled, SAMPLE_LINES))


def parse_first_lines(log_file: LogFile) -> list[Interaction]:
    """The actions of the first lines.

    Raises:
        InputError: if there are lines, but not one of them is an action; names what was
            expected, and what was found instead.
    """
    lines = first_lines(log_file)
    parse = make_parser(log_file.line_format, with_rating=False)
    bad: list[tuple[Line, BadRecord]] = []
    interactions: list[Interaction] = []
    for numbered in lines:
        try:
            interactions += parse(numbered[1])
        except BadRecord as error:
            bad.append((numbered, error))
    if lines and not interactions:
        raise InputError(_unreadable(log_file, len(lines), *bad[0]))
    return interactions


def _unreadable(log_file: LogFile, num_lines: int, line: Line, bad: BadRecord) -> str:
    number, content = line
    lines = f"none of its first {num_lines} lines" if num_lines > 1 else "its only line"
    text = content[:200].decode("utf-8", "replace")
    verb = "can" if num_lines > 1 else "cannot"
    return (
        f"{log_file.path}: {lines} {verb} be read. Expected: "
        f"{'; '.join(expected_line(log_file.line_format))}. Line {number}: {bad}. "
        f"Received: {text!r}. {_remedy(log_file.line_format, bad)}"
    )


def expected_line(line_format: LineFormat) -> Iterator[str]:
    """What a line of a format must hold, for the reader of a message."""
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
        unit = "in seconds" if line_format.time_unit == "s" else "or date"
        yield (
            f"columns divided by {line_format.delimiter!r}, counted from 0: user in "
            f"{line_format.user}, item in {line_format.item}, time {unit} in "
            f"{line_format.time}"
        )


def _remedy(line_format: LineFormat, bad: BadRecord) -> str:
    if bad.reason == "invalid_utf8":
        return "Logs must be UTF-8: convert the file"
    if bad.reason == "bad_time" and line_format.name in ("amazon", "movielens"):
        return (
            "Where times have another unit, name the columns by `--format csv` or "
            "`json` and `--columns`, which take seconds, milliseconds and dates"
        )
    return (
        "Say what the columns are by `--format` and `--columns`; `--max_bad_share 1` "
        "takes such a file for bad lines only"
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

"""Log lines -> interactions, one function per shape of line; no Beam, no files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from beam_jobs.logs.interactions import (
    BadRecord,
    Interaction,
    checked_id,
    checked_milliseconds,
    rating_from,
    time_from_number,
    time_from_text,
)
from beam_jobs.logs.line_format import LineFormat as LineFormat
from beam_jobs.logs.quoting import split_columns as split_columns

LineParser = Callable[[bytes], list[Interaction]]


def make_parser(line_format: LineFormat, with_rating: bool) -> LineParser:
    """The function that parses lines of a format.

    Args:
        line_format: the format.
        with_rating: whether a JSON record must have a rating.
    """
    if line_format.shape == "json":
        return lambda line: [parse_amazon_json(line, with_rating)]
    if line_format.shape == "record":
        return lambda line: [parse_record(line, line_format.fields)]
    if line_format.shape == "sequences":
        return parse_sequence
    return lambda line: [parse_delimited(line, line_format)]


def parse_amazon_json(line: bytes, with_rating: bool) -> Interaction:
    """A review of the Amazon releases of 2014, 2018 (seconds) or 2023 (milliseconds).

    Example: {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 5} ->
    Interaction("A1", "B1", 5000). Unknown fields are ignored.

    Raises:
        BadRecord: with one of the reasons of `BAD_RECORD_REASONS`.
    """
    record = _json_object(line)
    in_seconds = "reviewerID" in record or "unixReviewTime" in record
    if in_seconds:
        user, item, time = "reviewerID", "asin", "unixReviewTime"
    else:
        item = "parent_asin" if "parent_asin" in record else "asin"
        user, time = "user_id", "timestamp"
    rating = None
    if with_rating:
        name = "overall" if "overall" in record else "rating"
        rating = rating_from(_json_field(record, name))
    return Interaction(
        checked_id(_json_field(record, user), user),
        checked_id(_json_field(record, item), item),
        time_from_number(_json_field(record, time), "s")
        if in_seconds
        else checked_milliseconds(_json_field(record, time), time),
        rating,
    )


def parse_record(line: bytes, fields: tuple[str, ...]) -> Interaction:
    """A JSON object whose fields have the names that the user says.

    Ids may be integers; a time is a number (seconds, or milliseconds where it is large)
    or an ISO 8601 text.

    Raises:
        BadRecord: with one of the reasons of `BAD_RECORD_REASONS`.
    """
    record = _json_object(line)
    user, item, time, *rating = [_json_field(record, name) for name in fields]
    return Interaction(
        checked_id(_id_text(user), fields[0]),
        checked_id(_id_text(item), fields[1]),
        time_from_text(time, "auto")
        if isinstance(time, str)
        else time_from_number(time, "auto"),
        rating_from(rating[0]) if rating else None,
    )


def _id_text(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


def _json_field(record: dict[str, Any], name: str) -> Any:
    try:
        return record[name]
    except KeyError:
        found = ", ".join(map(str, record))
        raise BadRecord(
            "missing_field", f"no {name} among the fields {found or '(none)'!s:.200}"
        ) from None


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = _lenient_json(line)
    if not isinstance(record, dict):
        raise BadRecord("wrong_type", "the line is JSON, but no object")
    return record


def _lenient_json(line: bytes) -> Any:
    """Reads what Python's own JSON writer makes of NaN, to name the better reason."""
    text = _decoded(line)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecord("not_json", str(error)) from None


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(
            "invalid_utf8", f"{error.reason} at byte {error.start}"
        ) from None


def parse_delimited(line: bytes, line_format: LineFormat) -> Interaction:
    """A line of columns.

    Example: "1::1193::5::978300760" -> Interaction("1", "1193", 978300760000, 5.0).

    Raises:
        BadRecord: with one of the reasons of `BAD_RECORD_REASONS`.
    """
    columns = split_columns(_decoded(line), line_format.delimiter, line_format.quotes)
    needed = line_format.num_columns
    rating_column = line_format.rating
    least = 1 + max(
        line_format.user, line_format.item, line_format.time, rating_column or 0
    )
    if len(columns) < least or (needed is not None and len(columns) != needed):
        raise BadRecord(
            "wrong_column_count",
            f"{len(columns)} columns, must be {needed or f'at least {least}'}",
        )
    return Interaction(
        checked_id(columns[line_format.user], "user"),
        checked_id(columns[line_format.item], "item"),
        time_from_text(columns[line_format.time], line_format.time_unit),
        None if rating_column is None else rating_from(columns[rating_column]),
    )


def parse_sequence(line: bytes) -> list[Interaction]:
    """A user and all their items, oldest first, separated by blanks.

    Example: "u1 a b a" -> [("u1", "a", 0), ("u1", "b", 1), ("u1", "a", 2)]: the
    position takes the place of the time.

    Raises:
        BadRecord: missing_field for a user without items, and the reasons of ids.
    """
    user, *items = _decoded(line).replace("\t", " ").split(" ")
    items = [item for item in items if item]
    if not items:
        raise BadRecord("missing_field", "a user without items")
    checked_id(user, "user")
    return [
        Interaction(user, checked_id(item, "item"), position)
        for position, item in enumerate(items)
    ]

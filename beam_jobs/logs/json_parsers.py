"""Lines of JSON -> interactions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from beam_jobs.logs.interactions import (
    END_OF_TIME_MS,
    BadRecord,
    Interaction,
    checked_id,
    checked_milliseconds,
    is_plain_id,
    rating_from,
    time_from_number,
)
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.null_ids import IdCheck, make_id_check
from beam_jobs.logs.times import TimeParser, make_time_parser

_END_OF_TIME_S = END_OF_TIME_MS // 1000


class ReviewParser:
    """Parses reviews of the Amazon releases of 2014, 2018 and 2023.

    Args:
        line_format: its null ids count.
        with_rating: whether a review must have a rating.
    """

    def __init__(self, line_format: LineFormat, with_rating: bool) -> None:
        self._check_id = make_id_check(line_format.null_ids)
        self._with_rating = with_rating
        self._may_be_fast = not with_rating and not line_format.null_ids

    def __call__(self, line: bytes) -> list[Interaction]:
        """The interaction of a line."""
        fast = _usual_review(line) if self._may_be_fast else None
        return [fast or parse_amazon_json(line, self._with_rating, self._check_id)]


def _usual_review(line: bytes) -> Interaction | None:
    """A sound review of 2014 or 2018; None for any other line."""
    try:
        record = orjson.loads(line)
        user, item = record["reviewerID"], record["asin"]
        time = record["unixReviewTime"]
        is_time = type(time) is int and 0 <= time < _END_OF_TIME_S
        if is_time and is_plain_id(user) and is_plain_id(item):
            return Interaction(user, item, time * 1000)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    return None


def parse_amazon_json(
    line: bytes, with_rating: bool, check_id: IdCheck = checked_id
) -> Interaction:
    """A review of the Amazon releases of 2014, 2018 (seconds) or 2023 (milliseconds).

    Example: {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 5} ->
    Interaction("A1", "B1", 5000). Unknown fields are ignored.

    Raises:
        BadRecord: with one of the reasons of `BAD_RECORD_REASONS`.
    """
    record = json_object(line)
    in_seconds = "reviewerID" in record or "unixReviewTime" in record
    if in_seconds:
        user, item, time = "reviewerID", "asin", "unixReviewTime"
    else:
        item = "parent_asin" if "parent_asin" in record else "asin"
        user, time = "user_id", "timestamp"
    rating = None
    if with_rating:
        name = "overall" if "overall" in record else "rating"
        rating = rating_from(_field(record, name))
    return Interaction(
        check_id(_field(record, user), user),
        check_id(_field(record, item), item),
        time_from_number(_field(record, time), "s")
        if in_seconds
        else checked_milliseconds(_field(record, time), time),
        rating,
    )


class RecordParser:
    """Parses JSON objects by the names of their fields.

    Ids may be integers. A time is a number or a text, by the format.

    Args:
        line_format: the format.
    """

    def __init__(self, line_format: LineFormat) -> None:
        self._fields = line_format.fields
        self._check_id = make_id_check(line_format.null_ids)
        self._time_of = make_json_time_parser(line_format)

    def __call__(self, line: bytes) -> list[Interaction]:
        """The interaction of a line."""
        record = json_object(line)
        user, item, time, *rating = [_field(record, name) for name in self._fields]
        return [
            Interaction(
                self._check_id(_id_text(user), self._fields[0]),
                self._check_id(_id_text(item), self._fields[1]),
                self._time_of(time),
                rating_from(rating[0]) if rating else None,
            )
        ]


def make_json_time_parser(line_format: LineFormat) -> Callable[[object], int]:
    """The function that reads the time of a JSON value, a text or a number."""
    time_of_text: TimeParser = make_time_parser(
        line_format.time_unit, line_format.time_format
    )

    def time_of(value: object) -> int:
        if line_format.time_format and type(value) in (int, float):
            value = str(value)
        if isinstance(value, str):
            return time_of_text(value)
        return time_from_number(value, line_format.time_unit)

    return time_of


def _id_text(value: object) -> object:
    """An id that may be a number; pandas writes whole numbers with gaps as floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


def _field(record: dict[str, Any], name: str) -> Any:
    try:
        return record[name]
    except KeyError:
        found = ", ".join(map(str, record))
        raise BadRecord(
            "missing_field", f"no {name} among the fields {found or '(none)'!s:.200}"
        ) from None


def json_object(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        BadRecord: not_json, wrong_type or invalid_utf8.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = _lenient_json(line)
    if not isinstance(record, dict):
        raise BadRecord("wrong_type", "the line is JSON, but no object")
    return record


def _lenient_json(line: bytes) -> Any:
    """Reads what Python's own JSON writer makes of NaN, to name the better reason."""
    text = decoded(line)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecord("not_json", str(error)) from None


def decoded(line: bytes) -> str:
    """The text of a line.

    Raises:
        BadRecord: invalid_utf8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(
            "invalid_utf8", f"{error.reason} at byte {error.start}"
        ) from None

"""Log lines -> interactions, one function per shape of line; no Beam, no files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from beam_jobs.logs.interactions import (
    END_OF_TIME_MS,
    BadRecord,
    Interaction,
    is_plain_id,
    rating_from,
)
from beam_jobs.logs.json_parsers import RecordParser, ReviewParser, decoded
from beam_jobs.logs.line_format import BLANKS
from beam_jobs.logs.line_format import LineFormat as LineFormat
from beam_jobs.logs.null_ids import make_id_check, without_missing_ids
from beam_jobs.logs.quoting import QUOTE, split_columns
from beam_jobs.logs.times import make_time_parser

LineParser = Callable[[bytes], list[Interaction]]

_END_OF_TIME_S = END_OF_TIME_MS // 1000
_DIGITS_OF_SECONDS = 10
_RATINGS_KEPT = 1024


def make_parser(line_format: LineFormat, with_rating: bool) -> LineParser:
    """The function that parses lines of a format.

    It gives no interaction for a line whose user or item is missing by `null_ids`.

    Args:
        line_format: the format.
        with_rating: whether a JSON record must have a rating.
    """
    parse: LineParser
    if line_format.shape == "json":
        parse = ReviewParser(line_format, with_rating)
    elif line_format.shape == "record":
        parse = RecordParser(line_format)
    elif line_format.shape == "sequences":
        return SequenceParser(line_format)
    else:
        parse = DelimitedParser(line_format)
    return without_missing_ids(parse) if line_format.null_ids else parse


class DelimitedParser:
    """Parses lines of columns.

    Example: "1::1193::5::978300760" -> Interaction("1", "1193", 978300760000, 5.0).

    Args:
        line_format: the format.
    """

    def __init__(self, line_format: LineFormat) -> None:
        self._format = line_format
        self._may_split = line_format.delimiter != BLANKS
        self._missing = frozenset(line_format.null_ids)
        self._check_id = make_id_check(line_format.null_ids)
        self._time_of = make_time_parser(line_format.time_unit, line_format.time_format)
        self._in_seconds = (
            line_format.time_unit in ("s", "auto") and line_format.time_format is None
        )
        # Few ratings differ, and most lines repeat one.
        read_rating = rating_from if line_format.delimiter == "," else _rating
        self._rating_of = functools.lru_cache(_RATINGS_KEPT)(read_rating)
        positions = (line_format.user, line_format.item, line_format.time)
        self._least = 1 + max(*positions, line_format.rating or 0)

    def __call__(self, line: bytes) -> list[Interaction]:
        """The interaction of a line."""
        form = self._format
        columns = self._columns(decoded(line))
        user, item, time = columns[form.user], columns[form.item], columns[form.time]
        if not is_plain_id(user) or user in self._missing:
            user = self._check_id(_stripped(user), "user")
        if not is_plain_id(item) or item in self._missing:
            item = self._check_id(_stripped(item), "item")
        rating = form.rating
        return [
            Interaction(
                user,
                item,
                self._timestamp_ms(time),
                None if rating is None else self._rating_of(columns[rating]),
            )
        ]

    def _columns(self, text: str) -> Sequence[str]:
        form = self._format
        if self._may_split and QUOTE not in text:
            columns = text.split(form.delimiter)
            if "\r" in text:
                raise BadRecord("wrong_column_count", "a carriage return in the line")
        else:
            columns = split_columns(text, form.delimiter, form.quotes)
        needed = form.num_columns
        if len(columns) < self._least or (needed and len(columns) != needed):
            must = str(needed or f"at least {self._least}")
            raise BadRecord(
                "wrong_column_count", f"{len(columns)} columns, must be {must}"
            )
        return columns

    def _timestamp_ms(self, text: str) -> int:
        if self._in_seconds and text.isdecimal() and len(text) <= _DIGITS_OF_SECONDS:
            seconds = int(text)
            if seconds < _END_OF_TIME_S:
                return seconds * 1000
        return self._time_of(text)


def _stripped(text: str) -> str:
    """An id without the blanks around it; a quote behind a blank encloses nothing."""
    return text if QUOTE in text else text.strip(" ")


def _rating(text: str) -> float:
    """A rating, in which European spreadsheets write a comma."""
    return rating_from(text.replace(",", "."))


class SequenceParser:
    """Parses a user and all their items, oldest first, separated by blanks.

    Example: "u1 a b a" -> [("u1", "a", 0), ("u1", "b", 1), ("u1", "a", 2)]: the
    position takes the place of the time.

    Args:
        line_format: its null ids count.
    """

    def __init__(self, line_format: LineFormat) -> None:
        self._check_id = make_id_check(())
        self._missing = frozenset(line_format.null_ids)

    def __call__(self, line: bytes) -> list[Interaction]:
        """The interactions of a line."""
        user, *items = decoded(line).replace("\t", " ").split(" ")
        items = [item for item in items if item]
        if user in self._missing:
            return []
        if not items:
            raise BadRecord("missing_field", "a user without items")
        self._check_id(user, "user")
        return [
            Interaction(user, self._check_id(item, "item"), position)
            for position, item in enumerate(items)
            if item not in self._missing
        ]

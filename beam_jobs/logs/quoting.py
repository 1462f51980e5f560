"""Columns of a line and the quotes around them, by the rules of Python's `csv`.

A quote opens a quoted field where the field begins, and nowhere else; two quotes within
it stand for one.
"""

from __future__ import annotations

import csv

from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.line_format import BLANKS

QUOTE = '"'


def field_quotes(text: str, delimiter: str, inside: bool = False) -> list[bool]:
    """Scans the quoted fields of a line.

    Example: ('"a";"b"c;d"', ";") -> [True, False]: `"b"c` is not closed properly.

    Args:
        text: a line, or one more line of a record.
        delimiter: between the columns.
        inside: whether the line begins inside a quoted field.

    Returns:
        for every quoted field that is closed in the line, whether the delimiter or the
        line's end follows; then a last False where one is open at the line's end, which
        `ends_inside` asks for.
    """
    return _scan(text, delimiter, inside)[0]


def ends_inside(text: str, delimiter: str, inside: bool = False) -> bool:
    """Whether a quoted field is open at the end of a line.

    Example: ('u1,"a', ",") -> True; ('u1,5" nail', ",") -> False.
    """
    return _scan(text, delimiter, inside)[1]


def _scan(text: str, delimiter: str, inside: bool) -> tuple[list[bool], bool]:
    closed: list[bool] = []
    position = 0
    while True:
        if not inside and not text.startswith(QUOTE, position):
            position = text.find(delimiter, position)
            if position < 0:
                return closed, False
            position += len(delimiter)
            continue
        end = _closing_quote(text, position if inside else position + 1)
        if end < 0:
            return closed, True
        inside = False
        position = end + 1
        is_proper = text.startswith(delimiter, position) or position == len(text)
        closed.append(is_proper)
        position = text.find(delimiter, position)
        if position < 0:
            return closed, False
        position += len(delimiter)


def _closing_quote(text: str, position: int) -> int:
    """Where a quoted field ends whose content begins at a position; -1 for nowhere."""
    while True:
        position = text.find(QUOTE, position)
        if position < 0 or not text.startswith(QUOTE, position + 1):
            return position
        position += 2


def split_columns(text: str, delimiter: str, quotes: str = "inline") -> list[str]:
    """The columns of one record.

    Example: ('a,"b,c"', ",") -> ["a", "b,c"].

    Args:
        text: the record.
        delimiter: between the columns; `BLANKS` stands for one or more.
        quotes: "none" where quotes are characters like others.

    Raises:
        BadRecord: wrong_column_count, for a quoted field that does not end at the
            delimiter or the end.
    """
    if quotes == "none" or QUOTE not in text:
        return text.split() if delimiter == BLANKS else text.split(delimiter)
    if len(delimiter) > 1 or delimiter == BLANKS:
        return _quoted_columns(text, delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise BadRecord("wrong_column_count", f"in a quoted field: {error}") from None


def _quoted_columns(text: str, delimiter: str) -> list[str]:
    """`split_columns` for delimiters that `csv` does not take."""
    columns: list[str] = []
    text = text.strip() if delimiter == BLANKS else text
    position = 0
    while position <= len(text):
        if text.startswith(QUOTE, position):
            end = _closing_quote(text, position + 1)
            after = end + 1
            is_closed = end > 0 and (
                after == len(text) or text.startswith(delimiter, after)
            )
            if not is_closed:
                raise BadRecord("wrong_column_count", "a quoted field is not closed")
            columns.append(text[position + 1 : end].replace(QUOTE * 2, QUOTE))
            position = after + len(delimiter)
            continue
        end = text.find(delimiter, position)
        end = len(text) if end < 0 else end
        if end > position or delimiter != BLANKS:
            columns.append(text[position:end])
        position = end + len(delimiter)
    return columns

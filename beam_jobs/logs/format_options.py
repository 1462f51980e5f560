"""The part of the command line that decides how log files are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FORMATS = ("auto", "amazon", "movielens", "csv", "json", "sequences")

Columns = Mapping[str, str]
"""From "user", "item", "time", "rating" to a header name or a position."""


class FormatOptions(NamedTuple):
    """The format of log files, as far as flags give it; picklable.

    Attributes:
        format: one of `FORMATS`.
        columns: the columns named by `--columns`, or None.
        delimiter: between columns, or None to find it.
        time_unit: "s", "ms", "us" or "ns", or None to tell it from the times.
        time_format: the form of times in text, or None for ISO 8601.
        quotes: "inline", "multiline" or "none" (see `LineFormat`), or None to find it.
        null_ids: texts that stand for a missing user or item.
    """

    format: str = "auto"
    columns: Columns | None = None
    delimiter: str | None = None
    time_unit: str | None = None
    time_format: str | None = None
    quotes: str | None = None
    null_ids: tuple[str, ...] = ()

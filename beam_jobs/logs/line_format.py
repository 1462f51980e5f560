"""The format of the lines of one log file, decided before the job."""

from __future__ import annotations

from typing import NamedTuple

BLANKS = " "
"""The delimiter of columns that any number of blanks divides."""

_TIED_BY_ITEM = ("amazon", "movielens")


class LineFormat(NamedTuple):
    r"""The format of the lines of one file, decided before the job.

    Attributes:
        name: the value of `--format` that it belongs to.
        shape: "json" (an Amazon review), "record" (JSON with named fields),
            "delimited" or "sequences".
        delimiter: between columns, for "delimited"; `BLANKS` means one or more.
        user: position of the user's column, from 0.
        item: position of the item's column.
        time: position of the time's column.
        rating: position of the rating's column, or None.
        num_columns: number of columns of a good line, or None for "as many as needed".
        has_header: whether the first line names the columns.
        time_unit: "s", "ms", "us", "ns" or "auto" (see `time_from_number`).
        fields: names of user, item, time and, if there is one, rating, for "record";
            names that may be of use, for "json".
        time_format: the form of times in text, as of `--time_format`, or None for
            numbers and ISO 8601.
        container: "plain", "gzip" or "parquet".
        quotes: "inline" for quoted fields that end on their line, "multiline" for
            those that may hold a line break, "none" where quotes are characters.
        line_end: "\n", which a carriage return may precede, or "\r" alone.
        null_ids: texts that stand for a missing user or item.
    """

    name: str
    shape: str
    delimiter: str = ","
    user: int = 0
    item: int = 1
    time: int = 3
    rating: int | None = 2
    num_columns: int | None = 4
    has_header: bool = False
    time_unit: str = "s"
    fields: tuple[str, ...] = ()
    time_format: str | None = None
    container: str = "plain"
    quotes: str = "inline"
    line_end: str = "\n"
    null_ids: tuple[str, ...] = ()

    @property
    def may_have_ratings(self) -> bool:
        """Whether a good line can hold a rating."""
        if self.shape == "record":
            return len(self.fields) > 3
        return self.shape != "delimited" or self.rating is not None

    @property
    def is_splittable(self) -> bool:
        """Whether workers may share a file, each reading a range of its bytes."""
        return self.container == "plain" and not self.is_multiline

    @property
    def is_multiline(self) -> bool:
        """Whether a quoted field may hold a line break."""
        return self.shape == "delimited" and self.quotes == "multiline"

    @property
    def ties(self) -> str:
        """Order of a user's actions at one time: "item_id" or "hash"."""
        return "item_id" if self.name in _TIED_BY_ITEM else "hash"

"""Formats of lines of columns, weighed by a file's first lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from beam_jobs.logs.column_names import find_role, is_typed_header
from beam_jobs.logs.line_format import BLANKS, LineFormat
from beam_jobs.logs.sample import Fit, Sample
from beam_jobs.logs.suggestions import has_header
from beam_jobs.logs.tables import Table

AMAZON_CSV_2014 = LineFormat("amazon", "delimited", ",", user=0, item=1)
AMAZON_CSV_2018 = LineFormat("amazon", "delimited", ",", user=1, item=0)

_MOVIELENS_HEADER = ["userid", "movieid", "rating", "timestamp"]
_DIVIDED_BY = {"::": "'::'", "\t": "TAB", BLANKS: "blanks"}
_MOST_OF_A_RATING = 100
_ASIN = re.compile(r"[A-Z0-9]{10}")
_UNIX_SECONDS_FROM = 100_000_000
"""A last column this large throughout is a time (1973 or later), no item."""


def is_number(text: str) -> bool:
    """Whether a text is a number, as a rating or a time is."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_rated(columns: Sequence[str]) -> bool:
    """Whether four columns end in two numbers."""
    return len(columns) == 4 and is_number(columns[2]) and is_number(columns[3])


def _has_names(table: Table) -> bool:
    """Whether the first row names the columns of ratings."""
    return not _is_rated(table.rows[0]) and has_header(table)


def _with_options(line_format: LineFormat, sample: Sample, table: Table) -> LineFormat:
    options = sample.options
    return line_format._replace(
        quotes=sample.quotes_of(table),
        time_unit=options.time_unit or line_format.time_unit,
        time_format=options.time_format,
    )


def fits_amazon_csv(sample: Sample) -> list[Fit]:
    """The ratings of Amazon's releases of 2014, 2018 and 2023, if a file has them."""
    fits: list[Fit] = []
    for table in sample.regular_tables:
        if fit := _amazon_2023(sample, table):
            return [fit]
        if table.delimiter != ",":
            continue
        has_names = _has_names(table)
        rows = table.rows[has_names:]
        for item, line_format, order in (
            (1, AMAZON_CSV_2014, "user,item,rating,time as of 2014"),
            (0, AMAZON_CSV_2018, "item,user,rating,time as of 2018"),
        ):
            sound = sum(_asin_column(row) == item for row in rows)
            if sound > 0.5 * len(rows) and _agrees(table, has_names, item):
                line_format = line_format._replace(has_header=has_names)
                found = _with_options(line_format, sample, table)
                fits.append(Fit(found, f"CSV of {order}"))
    return fits


def _agrees(table: Table, has_names: bool, item: int) -> bool:
    """Whether the names of columns, where there are any, are of Amazon's ratings."""
    names = table.rows[0] if has_names else []
    return find_role(names, "time") in (3, None) and (
        find_role(names, "item") in (item, None)
    )


def _asin_column(columns: Sequence[str]) -> int | None:
    """Which of the first two columns holds the ASIN, if just one of them can."""
    if not _is_rated(columns):
        return None
    first, second = (bool(_ASIN.fullmatch(c)) for c in columns[:2])
    return None if first == second else int(second)


def _amazon_2023(sample: Sample, table: Table) -> Fit | None:
    names = [name.strip() for name in table.rows[0]]
    item = "parent_asin" if "parent_asin" in names else "asin"
    if not {"user_id", item, "timestamp"} <= set(names):
        return None
    line_format = LineFormat(
        "amazon",
        "delimited",
        table.delimiter,
        user=names.index("user_id"),
        item=names.index(item),
        time=names.index("timestamp"),
        rating=names.index("rating") if "rating" in names else None,
        num_columns=len(names),
        has_header=True,
        time_unit="ms",
    )
    header = table.delimiter.join(names)
    return Fit(_with_options(line_format, sample, table), f"the header {header}")


def fits_movielens(sample: Sample) -> list[Fit]:
    """The ratings of MovieLens, if a file has them."""
    for table in sample.tables:
        if [name.strip().lower() for name in table.rows[0]] == _MOVIELENS_HEADER:
            line_format = LineFormat(
                "movielens",
                "delimited",
                table.delimiter,
                has_header=True,
                time_unit="auto",
            )
            found = _with_options(line_format, sample, table)
            return [Fit(found, f"CSV with the header {sample.lines[0].strip()}")]
    return [
        _movielens(sample, table)
        for table in sample.tables
        if table.delimiter in _DIVIDED_BY and _is_movielens(sample, table)
    ]


def _is_movielens(sample: Sample, table: Table) -> bool:
    below_header = table.rows[_has_names(table) :]
    rows = list(filter(_is_rated, below_header))
    if len(rows) <= 0.5 * len(below_header) or is_typed_header(table.rows[0]):
        return False
    if sample.options.format == "auto" and not _has_ratings(table, rows):
        return False
    if table.delimiter != BLANKS:
        return True
    # Blanks may be around other delimiters; and sequences are divided by blanks.
    if any(other.is_regular for other in sample.tables if other is not table):
        return False
    return all(float(row[3]) >= _UNIX_SECONDS_FROM for row in rows)


def _has_ratings(table: Table, rows: Sequence[Sequence[str]]) -> bool:
    """Whether the third column is a rating, by its name if there is one."""
    if _has_names(table):
        return find_role(table.rows[0], "rating") == 2
    small = sum(abs(float(row[2])) <= _MOST_OF_A_RATING for row in rows)
    return small > 0.5 * len(rows)


def _movielens(sample: Sample, table: Table) -> Fit:
    has_names = _has_names(table)
    line_format = LineFormat(
        "movielens", "delimited", table.delimiter, has_header=has_names
    )
    divided = _DIVIDED_BY[table.delimiter]
    return Fit(
        _with_options(line_format, sample, table),
        f"user, item, rating, time divided by {divided}"
        + ", below a header" * has_names,
    )


def fits_recbole(sample: Sample) -> list[Fit]:
    """RecBole's interactions, whose header has types, if a file has them."""
    for table in sample.tables:
        names = table.rows[0]
        if not is_typed_header(names):
            continue
        user, item, time = (find_role(names, r) for r in ("user", "item", "time"))
        if user is None or item is None or time is None:
            continue
        line_format = LineFormat(
            "csv",
            "delimited",
            table.delimiter,
            user=user,
            item=item,
            time=time,
            rating=find_role(names, "rating"),
            num_columns=len(names),
            has_header=True,
            time_unit="auto",
        )
        read = ", ".join(names[position] for position in (user, item, time))
        found = _with_options(line_format, sample, table)
        return [Fit(found, f"columns of RecBole: {read}")]
    return []

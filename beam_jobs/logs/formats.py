"""Which format a log file has, decided from its first lines.

`auto` weighs every format and takes the only one that fits; the other values of
`--format` say the family, and the first lines only choose the member (JSON or CSV, the
order of the columns, the delimiter).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from beam_jobs.logs.containers import Container, find_container
from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FORMATS as FORMATS
from beam_jobs.logs.format_options import Columns, FormatOptions
from beam_jobs.logs.interactions import BadRecord, time_from_text
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.quoting import split_columns
from beam_jobs.logs.reading import read_records

SAMPLE_LINES = 200
"""Lines of a file that the decision looks at."""

_SAMPLE_BYTES = 1 << 20

_MOVIELENS_HEADER = ["userid", "movieid", "rating", "timestamp"]
_ASIN = re.compile(r"[A-Z0-9]{10}")
_UNIX_SECONDS_FROM = 100_000_000
"""A last column this large throughout is a time (1973 or later), no item."""


class Fit(NamedTuple):
    """A format that fits a file, and why."""

    line_format: LineFormat
    reason: str


AMAZON_JSON = LineFormat(
    "amazon",
    "json",
    fields=(
        *("reviewerID", "asin", "unixReviewTime", "overall"),
        *("user_id", "parent_asin", "timestamp", "rating"),
    ),
)
AMAZON_CSV_2014 = LineFormat("amazon", "delimited", ",", user=0, item=1)
AMAZON_CSV_2018 = LineFormat("amazon", "delimited", ",", user=1, item=0)
SEQUENCES = LineFormat("sequences", "sequences")


def read_sample(path: str, container: Container) -> list[str]:
    """The first non-blank lines of a file, bytes that are no UTF-8 replaced."""
    as_lines = LineFormat(
        "", "record", container=container.kind, line_end=container.line_end
    )
    sample: list[str] = []
    num_bytes = 0
    for record in itertools.islice(read_records(path, as_lines), SAMPLE_LINES):
        num_bytes += len(record.content)
        sample.append(record.content.decode("utf-8", "replace"))
        if num_bytes > _SAMPLE_BYTES:
            break
    return sample


def decide_format(path: str, options: FormatOptions) -> Fit | None:
    """The format of a file and the reason for it; None for a file without lines.

    Args:
        path: the log file.
        options: what the user says of the format.

    Raises:
        InputError: if the file is no log, no format fits, or two do.
    """
    container = find_container(path)
    sample = read_sample(path, container)
    if not sample:
        return None
    line_format, reason = _decide(path, sample, options)
    return Fit(
        line_format._replace(container=container.kind, line_end=container.line_end),
        reason,
    )


def _decide(path: str, sample: Sequence[str], options: FormatOptions) -> Fit:
    if options.format == "auto":
        return _only_fit(path, sample, options.columns)
    return {
        "amazon": _amazon,
        "movielens": _movielens,
        "csv": _csv,
        "json": _json,
        "sequences": _sequences,
    }[options.format](path, sample, options.columns)


def _only_fit(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    fits = [fit for weigh in _AUTO for fit in weigh(sample)]
    if columns:
        fits += _fits_csv(sample, columns) + _fits_json(sample, columns)
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = " and ".join(f"{fit[0].name} ({fit[1]})" for fit in fits)
        raise InputError(
            f"{path} fits more than one format: {names}; say which by `--format`"
        )
    raise InputError(
        f"{path} fits none of the formats {', '.join(FORMATS[1:])}; say which by "
        "`--format`, or name its columns by `--format csv` (for Parquet `json`) and "
        f"`--columns user=...,item=...,time=...`. {_needed_and_found(sample, columns)}"
        f"First line: {sample[0][:100]!r}"
    )


def _needed_and_found(sample: Sequence[str], columns: Columns | None) -> str:
    """The fields of a JSON log, against those that were looked for."""
    try:
        fields = ", ".join(orjson.loads(sample[0]).keys())
    except (orjson.JSONDecodeError, AttributeError):
        return f"`--columns` names {_as_flag(columns)}. " if columns else ""
    named = f", or {_as_flag(columns)} of `--columns`" if columns else ""
    return (
        "JSON needs the fields reviewerID, asin, unixReviewTime, or user_id, "
        f"parent_asin, timestamp{named}; found: {fields[:200]}. "
    )


def _as_flag(columns: Columns) -> str:
    return ",".join(f"{role}={name}" for role, name in columns.items())


def _share(sample: Sequence[str], has_shape: Callable[[str], bool]) -> float:
    return sum(map(has_shape, sample)) / len(sample)


def _is_amazon_json(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        keys = orjson.loads(line).keys()
    except orjson.JSONDecodeError:
        return False
    return {"reviewerID", "asin", "unixReviewTime"} <= keys or (
        {"user_id", "timestamp"} <= keys and not keys.isdisjoint(_ITEM_KEYS)
    )


_ITEM_KEYS = {"parent_asin", "asin"}


def _fits_amazon_json(sample: Sequence[str]) -> list[Fit]:
    if _share(sample, _is_amazon_json) > 0.5:
        return [Fit(AMAZON_JSON, "JSON lines with a user, an asin and a time")]
    return []


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return split_columns(line, delimiter)
    except BadRecord:
        return []


def _is_rated(columns: Sequence[str]) -> bool:
    """Whether four columns end in two numbers."""
    return len(columns) == 4 and _is_number(columns[2]) and _is_number(columns[3])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _asin_column(line: str) -> int | None:
    """Which of the first two columns holds the ASIN, if just one of them can."""
    columns = _split(line, ",")
    if not _is_rated(columns):
        return None
    first, second = (bool(_ASIN.fullmatch(c)) for c in columns[:2])
    return None if first == second else int(second)


def _fits_amazon_csv(sample: Sequence[str]) -> list[Fit]:
    fits: list[Fit] = []
    if _share(sample, lambda line: _asin_column(line) == 1) > 0.5:
        fits.append(Fit(AMAZON_CSV_2014, "CSV of user,item,rating,time as of 2014"))
    if _share(sample, lambda line: _asin_column(line) == 0) > 0.5:
        fits.append(Fit(AMAZON_CSV_2018, "CSV of item,user,rating,time as of 2018"))
    return fits


def _fits_movielens(sample: Sequence[str]) -> list[Fit]:
    header = [name.lower() for name in _split(sample[0], ",")]
    if header == _MOVIELENS_HEADER:
        line_format = LineFormat("movielens", "delimited", ",", has_header=True)
        return [Fit(line_format, f"CSV with the header {sample[0].strip()}")]
    fits: list[Fit] = []
    for delimiter, text in (("::", "'::'"), ("\t", "TAB")):
        columns = [line.split(delimiter) for line in sample]
        if sum(map(_is_rated, columns)) > 0.5 * len(sample):
            line_format = LineFormat("movielens", "delimited", delimiter)
            fits.append(Fit(line_format, f"user, item, rating, time divided by {text}"))
    return fits


def _is_sequence(line: str) -> bool:
    if any(mark in line for mark in ("{", ",", "::", '"')):
        return False
    return len(line.split()) >= 2


def _ends_in_a_time(line: str) -> bool:
    columns = line.split("\t")
    return _is_rated(columns) and float(columns[3]) >= _UNIX_SECONDS_FROM


def _fits_sequences(sample: Sequence[str]) -> list[Fit]:
    if _share(sample, _is_sequence) > 0.5 >= _share(sample, _ends_in_a_time):
        return [Fit(SEQUENCES, "a user and items divided by blanks")]
    return []


_AUTO = (_fits_amazon_json, _fits_amazon_csv, _fits_movielens, _fits_sequences)


def _fits_csv(sample: Sequence[str], columns: Columns) -> list[Fit]:
    try:
        line_format, reason = _csv("", sample, columns)
    except InputError:
        return []
    lines = sample[1:] if line_format.has_header else sample

    def has_time(line: str) -> bool:
        values = _split(line, ",")
        try:
            time_from_text(values[line_format.time], "auto")
        except (IndexError, BadRecord):
            return False
        return True

    if lines and _share(lines, has_time) > 0.5:
        return [Fit(line_format, reason)]
    return []


def _csv(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    if columns is None:
        raise InputError("`--format csv` needs `--columns user=...,item=...,time=...`")
    by_position = all(value.isdecimal() for value in columns.values())
    if by_position:
        positions = {role: int(value) for role, value in columns.items()}
        num_columns = None
    else:
        header = [name.strip() for name in _split(sample[0], ",")]
        positions = _positions_in(path, header, columns)
        num_columns = len(header)
    line_format = LineFormat(
        "csv",
        "delimited",
        ",",
        user=positions["user"],
        item=positions["item"],
        time=positions["time"],
        rating=positions.get("rating"),
        num_columns=num_columns,
        has_header=not by_position,
        time_unit="auto",
    )
    return Fit(line_format, "columns as named by --columns")


def _fits_json(sample: Sequence[str], columns: Columns) -> list[Fit]:
    line_format, reason = _json("", sample, columns)

    def has_fields(line: str) -> bool:
        try:
            return orjson.loads(line).keys() >= set(line_format.fields)
        except (orjson.JSONDecodeError, AttributeError):
            return False

    return [Fit(line_format, reason)] if _share(sample, has_fields) > 0.5 else []


def _json(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    if columns is None:
        raise InputError("`--format json` needs `--columns user=...,item=...,time=...`")
    roles = ("user", "item", "time", "rating")
    fields = tuple(columns[role] for role in roles if role in columns)
    line_format = LineFormat("json", "record", fields=fields)
    return Fit(line_format, "fields as named by --columns")


def _positions_in(path: str, header: Sequence[str], columns: Columns) -> dict[str, int]:
    for role, name in columns.items():
        if header.count(name) != 1:
            times = "no" if name not in header else "more than one"
            raise InputError(
                f"{path} has {times} column {name!r}, named as {role} by `--columns` "
                f"{_as_flag(columns)}. Its header: {','.join(header)[:200]}"
                f"{_headless(header)}"
            )
    return {role: header.index(name) for role, name in columns.items()}


def _headless(header: Sequence[str]) -> str:
    if not any(_is_number(name) for name in header):
        return ""
    return (
        ". That looks like data: the columns of a file without header are named by "
        "position, such as `--columns user=0,item=1,time=2`"
    )


def _amazon(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    if _share(sample, lambda line: line.lstrip().startswith("{")) > 0.5:
        return Fit(AMAZON_JSON, "JSON lines")
    fits = _fits_amazon_csv(sample)
    if len(fits) == 1:
        return fits[0]
    raise InputError(
        f"{path}: it cannot be told which column is the user and which the item (an "
        "ASIN is ten upper-case letters or digits, in one of the first two of four "
        "columns); name them by `--format csv --columns user=0,item=1,time=3`. First "
        f"line: {sample[0][:100]!r}"
    )


def _movielens(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    fits = _fits_movielens(sample)
    if len(fits) == 1:
        return fits[0]
    raise InputError(
        f"{path} is no MovieLens log: its lines must be user, item, rating, time "
        "divided by '::' or TAB, or CSV with the header "
        f"userId,movieId,rating,timestamp. First line: {sample[0][:100]!r}"
    )


def _sequences(path: str, sample: Sequence[str], columns: Columns | None) -> Fit:
    return Fit(SEQUENCES, "a user and items divided by blanks")

"""Formats of JSON lines, and of Parquet files, whose rows are read as such."""

from __future__ import annotations

from beam_jobs.logs.files import InputError
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.refusals import no_json_lines
from beam_jobs.logs.sample import Fit, Sample

AMAZON_JSON = LineFormat(
    "amazon",
    "json",
    fields=(
        *("reviewerID", "asin", "unixReviewTime", "overall"),
        *("user_id", "parent_asin", "timestamp", "rating"),
    ),
)
_REASON = "JSON lines with a user, an asin and a time"
_FIELDS_2014 = ("reviewerID", "asin", "unixReviewTime")
_ITEM_KEYS = ("parent_asin", "asin")


def _amazon_fields(record: dict[str, object]) -> tuple[str, ...] | None:
    """Names of user, item and time in a review; None for another object."""
    if record.keys() >= set(_FIELDS_2014):
        return _FIELDS_2014
    items = [key for key in _ITEM_KEYS if key in record]
    if items and {"user_id", "timestamp"} <= record.keys():
        return "user_id", items[0], "timestamp"
    return None


def fits_amazon_json(sample: Sample) -> list[Fit]:
    """Amazon's reviews as JSON, if a file has them."""
    reviews = sum(_amazon_fields(record) is not None for record in sample.objects)
    return [amazon_json(sample)] if reviews > 0.5 * len(sample.lines) else []


def amazon_json(sample: Sample) -> Fit:
    """Amazon's reviews as JSON; with times in the unit of the flag, if given."""
    options = sample.options
    fields = [found for each in sample.objects if (found := _amazon_fields(each))]
    if (options.time_unit is None and options.time_format is None) or not fields:
        return Fit(AMAZON_JSON, _REASON)
    names = fields[0]
    for rating in ("overall", "rating"):
        if all(rating in record for record in sample.objects):
            names = (*names, rating)
            break
    return Fit(_with_times(sample, "amazon", names), f"{_REASON}, as flags say")


def _with_times(sample: Sample, name: str, fields: tuple[str, ...]) -> LineFormat:
    options = sample.options
    return LineFormat(
        name,
        "record",
        fields=fields,
        time_unit=options.time_unit or "auto",
        time_format=options.time_format,
    )


def named_json(sample: Sample) -> Fit:
    """JSON with the fields that `--columns` names.

    Raises:
        InputError: if they are not named, or the file is JSON of another layout.
    """
    columns = sample.options.columns
    if columns is None:
        raise InputError("`--format json` needs `--columns user=...,item=...,time=...`")
    if message := no_json_lines(sample):
        raise InputError(f"{sample.path}: {message}")
    roles = ("user", "item", "time", "rating")
    fields = tuple(columns[role] for role in roles if role in columns)
    line_format = _with_times(sample, "json", fields)
    return Fit(line_format, "fields as named by --columns")


def fits_named_json(sample: Sample) -> list[Fit]:
    """JSON with the fields that `--columns` names, if a file has them."""
    if no_json_lines(sample):
        return []
    fit = named_json(sample)
    fields = set(fit.line_format.fields)
    having = sum(record.keys() >= fields for record in sample.objects)
    return [fit] if having > 0.5 * len(sample.lines) else []

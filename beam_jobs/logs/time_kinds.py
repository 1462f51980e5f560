"""Kinds of times that values of a column may be: dates in digits, units, forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.times import ISO_8601, TimeParser, fitting_forms, make_time_parser

Value = str | int | float
"""A time as it stands in a log."""

PLAUSIBLE_FROM_S = 788_918_400
"""1995 in seconds: no web log is older."""

PLAUSIBLE_TO_S = 2_208_988_800
"""2040 in seconds."""

MOST = 0.9
"""Share of values that tells what a column is; the others are missing or damaged."""

FINER_UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of time and their number in a second."""

_DATES_OF_DIGITS = {
    6: "%Y%m",
    8: "%Y%m%d",
    10: "%Y%m%d%H",
    12: "%Y%m%d%H%M",
    14: "%Y%m%d%H%M%S",
}


def numbers_of(values: Sequence[Value]) -> list[float]:
    """The values that are finite numbers."""
    return [number for value in values if (number := _number(value)) is not None]


def _number(value: Value) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def date_form_of_numbers(numbers: Sequence[float]) -> str | None:
    """The pattern of numbers such as 20160131; None where they are no such dates."""
    lengths = {len(f"{number:.0f}") for number in numbers}
    form = _DATES_OF_DIGITS.get(min(lengths)) if len(lengths) == 1 else None
    if form is None or not all(number.is_integer() for number in numbers):
        return None
    sound = sum(_is_date(f"{number:.0f}", form) for number in numbers)
    # As seconds, numbers of ten digits are of this century: only dates throughout.
    least = 1.0 if form == "%Y%m%d%H" else MOST
    return form if sound >= least * len(numbers) else None


def _is_date(text: str, form: str) -> bool:
    try:
        return 1900 <= datetime.strptime(text, form).year < 2100
    except ValueError:
        return False


def finer_unit(numbers: Sequence[float]) -> str | None:
    """The unit of numbers too large for seconds: "ms", "us" or "ns"; None for others.

    Example: [1390086400000000.0] -> "us".
    """
    for unit, per_second in FINER_UNITS.items():
        low, high = PLAUSIBLE_FROM_S * per_second, PLAUSIBLE_TO_S * per_second
        if sum(low <= number < high for number in numbers) > 0.5 * len(numbers):
            return unit
    return None


def time_flags(texts: Sequence[str]) -> list[str] | None:
    """The flags, any of which makes times of a column of texts.

    Example: ["1600000000"] -> [""]; ["20160131"] -> ["--time_format %Y%m%d"]; ["5"] ->
    None; ["1/2/2010"] may have the month first or the day.

    Returns:
        "" where no flag is needed; None where the column is no times.
    """
    numbers = numbers_of(texts)
    if not texts or len(numbers) <= MOST * len(texts):
        return _flags_of_dates(texts)
    if form := date_form_of_numbers(numbers):
        return None if form == "%Y%m" else [f"--time_format {form}"]
    if unit := finer_unit(numbers):
        return ["" if unit == "ms" else f"--time_unit {unit}"]
    plausible = sum(PLAUSIBLE_FROM_S <= n < PLAUSIBLE_TO_S for n in numbers)
    return [""] if plausible > MOST * len(numbers) else None


def _flags_of_dates(texts: Sequence[str]) -> list[str] | None:
    # Missing times have no digit.
    filled = [text for text in texts if any(map(str.isdigit, text))]
    if not filled or len(filled) <= 0.5 * len(texts):
        return None
    if readable_share(filled, make_time_parser("auto", ISO_8601)) > MOST:
        return [""]
    return [f"--time_format '{form}'" for form in fitting_forms(filled)] or None


def readable_share(texts: Sequence[str], parse: TimeParser) -> float:
    """Share of texts that a parser of times reads."""
    readable = 0
    for text in texts:
        try:
            parse(text)
        except BadRecord:
            continue
        readable += 1
    return readable / len(texts)

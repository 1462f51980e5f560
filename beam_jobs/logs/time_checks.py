"""A log's column of times looked at as a whole: what must be something else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from beam_jobs.logs.interactions import SECONDS_FROM, BadRecord
from beam_jobs.logs.time_kinds import (
    FINER_UNITS,
    PLAUSIBLE_FROM_S,
    PLAUSIBLE_TO_S,
    Value,
    date_form_of_numbers,
    finer_unit,
    numbers_of,
    time_flags,
)

TimeOf = Callable[[object], int]
"""From a value of the column to milliseconds since 1970; raises BadRecord."""

_DAY_S = 86_400
_SHOWN = 3
_LEAST_RATING, _MOST_RATING = -10, 100
_FLOAT32_STEPS = (64, 128)
"""Between the seconds that a 32-bit float can hold, before 2004 and since."""

_LEAST_DISTINCT = 10
_EXPONENT = re.compile(r"\s*\d(?:[.,](?P<decimals>\d+))?[eE]\+?(?P<exponent>\d+)\s*")


class Doubt(NamedTuple):
    """Why a column cannot be times, and what to do.

    Attributes:
        finding: what was seen.
        remedy: what to do about it.
        is_no_time: whether another column may be meant.
    """

    finding: str
    remedy: str
    is_no_time: bool = False


def doubt_times(values: Sequence[Value], time_of: TimeOf) -> Doubt | None:
    """Why the values of a column can be no times as they are read; None if they can.

    Args:
        values: of the first lines.
        time_of: reads one.
    """
    numbers = numbers_of(values)
    doubt = _lost_digits(values)
    if doubt is None and len(numbers) > 0.5 * len(values):
        doubt = (
            _dates_in_digits(numbers)
            or _float32(numbers)
            or _finer_unit(numbers, time_of)
        )
    return doubt or _early_times(values, numbers, time_of)


def unread_form(values: Sequence[Value]) -> Doubt | None:
    """Doubts texts that are times of a form that needs a flag."""
    texts = [value for value in values if isinstance(value, str)]
    if len(numbers_of(texts)) > 0.5 * len(texts):
        return None
    flags = [flag for flag in time_flags(texts) or () if flag]
    if not flags:
        return None
    return Doubt("are of a form that must be said", f"give `{'` or `'.join(flags)}`")


def _dates_in_digits(numbers: Sequence[float]) -> Doubt | None:
    form = date_form_of_numbers(numbers)
    if form is None:
        return None
    if form == "%Y%m":
        return Doubt("look like years and months", "give a column of days or times")
    return Doubt(
        f"look like dates, {form}, not seconds", f"give `--time_format {form}`"
    )


def _lost_digits(values: Sequence[Value]) -> Doubt | None:
    found = [_EXPONENT.fullmatch(v) for v in values if isinstance(v, str)]
    rounded = 0
    for match in filter(None, found):
        decimals = match["decimals"] or ""
        seconds = float(match[0].replace(",", "."))
        # Java leaves out zeros at the end, which days have.
        is_day = seconds % _DAY_S == 0
        rounded += len(decimals) < int(match["exponent"]) and not is_day
    if rounded <= 0.5 * len(values):
        return None
    return Doubt(
        "have lost digits, as a spreadsheet cuts them",
        "take the log from its source, or format the column as a number without "
        "exponent before it is saved",
    )


def _float32(numbers: Sequence[float]) -> Doubt | None:
    if not all(number.is_integer() for number in numbers):
        return None
    seconds = {int(number) for number in numbers}
    least = min(seconds)
    step = math.gcd(*(number - least for number in seconds))
    is_rounded = step in _FLOAT32_STEPS and least % step == 0
    if len(seconds) < _LEAST_DISTINCT or not is_rounded or least < SECONDS_FROM:
        return None
    return Doubt(
        f"have lost digits: all are multiples of {step}, as 32-bit floats of seconds "
        "are",
        "take the log from its source, with times as integers or doubles; if they are "
        "right, give `--time_unit s`",
    )


def _finer_unit(numbers: Sequence[float], time_of: TimeOf) -> Doubt | None:
    unit = finer_unit(numbers)
    if unit is None or any(_is_readable(number, time_of) for number in numbers):
        return None
    moment = datetime.fromtimestamp(numbers[0] / FINER_UNITS[unit], UTC)
    return Doubt(
        f"are too large for seconds; in {unit} the first is {moment:%Y-%m-%d}",
        f"give `--time_unit {unit}`",
    )


def _is_readable(value: object, time_of: TimeOf) -> bool:
    try:
        time_of(value)
    except BadRecord:
        return False
    return True


def _early_times(
    values: Sequence[Value], numbers: Sequence[float], time_of: TimeOf
) -> Doubt | None:
    """Doubts a column most of whose times lie before any log of the web."""
    times = []
    for value in values:
        try:
            times.append(time_of(value))
        except BadRecord:
            continue
    early = sum(time < SECONDS_FROM * 1000 for time in times)
    if not times or early <= 0.5 * len(times):
        return None
    in_seconds = sum(PLAUSIBLE_FROM_S <= n < PLAUSIBLE_TO_S for n in numbers)
    if in_seconds > 0.5 * len(values):
        moment = datetime.fromtimestamp(numbers[0], UTC)
        return Doubt(
            f"must be milliseconds; in seconds the first is {moment:%Y-%m-%d}",
            "give `--time_unit s`",
        )
    first, last = (
        datetime.fromtimestamp(bound / 1000, UTC) for bound in (min(times), max(times))
    )
    return Doubt(
        f"lie, read as they are, between {first:%Y-%m-%d %H:%M:%S} and "
        f"{last:%Y-%m-%d %H:%M:%S}, before any log of the web{_meaning(numbers)}",
        _REMEDY,
        is_no_time=True,
    )


_REMEDY = (
    "name a column of times by `--columns`, or where they are right as they are, give "
    "`--time_unit s`"
)


def _meaning(numbers: Sequence[float]) -> str:
    """Guesses what numbers are that are small for times."""
    if not numbers:
        return ""
    least, most = min(numbers), max(numbers)
    if _LEAST_RATING <= least and most <= _MOST_RATING:
        return ": they look like ratings or counts"
    if 1900 <= least and most < 2100 and all(n.is_integer() for n in numbers):
        return ": they look like years"
    if PLAUSIBLE_FROM_S <= least * _DAY_S and most * _DAY_S < PLAUSIBLE_TO_S:
        return ": they may be days since 1970, which must be converted"
    if 34_000 <= least and most < 52_000:
        return ": they may be days since 1900, of a spreadsheet; save them as dates"
    return ": a clock that begins with each session or log?"


def shown_values(values: Sequence[Value]) -> str:
    """The first values of a column, for a message."""
    return ", ".join(str(value)[:40] for value in values[:_SHOWN])

"""Times of a log's lines in the forms that `--time_unit` and `--time_format` name."""

from __future__ import annotations

import email.utils
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from beam_jobs.logs.interactions import (
    BadRecord,
    time_from_iso,
    time_from_number,
    time_from_text,
)

TimeParser = Callable[[str], int]
"""From a time in text to milliseconds since 1970; raises BadRecord."""

TIME_UNITS = ("s", "ms", "us", "ns")
ISO_8601 = "iso8601"
RFC_2822 = "rfc2822"

_KNOWN_TIMES = 1 << 16
_PROBE = datetime(2011, 11, 12, 13, 14, 15, tzinfo=UTC)
_IS_RFC_2822 = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? "
    r"(?:[+-]\d{4}|[A-Z]{1,4})(?: \(\w+\))?"
).fullmatch

_WORDS = re.compile(r"[^\W_]+")
_DIRECTIVES = re.compile(r"%[A-Za-z]")
_ZONE = re.compile(r"(?:[+-]\d\d:?\d\d|Z)(?=$| \d{4}$)")

_DATES = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d"),
    *("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y"),
    *("%b %d, %Y", "%B %d, %Y", "%m %d, %Y", "%d %b %Y", "%d %B %Y", "%b %d %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%Y-%m-%d"),
)
_CLOCKS = (
    *("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"),
    *("%H:%M:%S %z", "%H:%M %z", "%I:%M%p"),
)
_OTHER_FORMS = (
    *(
        "%a %b %d %H:%M:%S %z %Y",
        "%a %b %d %H:%M:%S %Y",
        "%d/%b/%Y:%H:%M:%S %z",
        "%d/%b/%Y:%H:%M:%S",
    ),
    *("%a %b %d %H:%M:%S UTC %Y", "%a %b %d %H:%M:%S GMT %Y", "%Y-%m-%d-%H.%M.%S"),
)


class InvalidTimeFormat(ValueError):
    """A `--time_format` that no date can be read by."""


def checked_time_format(text: str) -> str:
    """The value of `--time_format`.

    Raises:
        InvalidTimeFormat: if it is no pattern that holds year, month and day.
    """
    if text in (ISO_8601, RFC_2822):
        return text
    try:
        found = datetime.strptime(_PROBE.strftime(text), text)
    except (ValueError, re.error):
        found = datetime.min
    if found.date() != _PROBE.date():
        raise InvalidTimeFormat(
            f"must be {ISO_8601}, {RFC_2822} or a pattern of Python's strptime with "
            f"year, month and day, such as '%m/%d/%Y %H:%M'. Received: {text!r}"
        )
    return text


def make_time_parser(unit: str, time_format: str | None) -> TimeParser:
    """The function that reads times in text.

    Args:
        unit: as of `LineFormat`, for numbers.
        time_format: as of `LineFormat`.
    """
    if time_format is None:
        return functools.partial(time_from_text, unit=unit)
    if time_format == ISO_8601:
        return time_from_iso
    read = _rfc_2822 if time_format == RFC_2822 else _by_pattern(time_format)

    # A log of days or minutes repeats its times, and patterns are slow to read.
    @functools.lru_cache(_KNOWN_TIMES)
    def time_from_form(text: str) -> int:
        try:
            moment = read(text.strip())
        except (ValueError, OverflowError):
            raise BadRecord(
                "bad_time", f"time is {text!r:.80}, not of the form {time_format}"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return time_from_number(round(moment.timestamp() * 1000), "ms")

    return time_from_form


def _rfc_2822(text: str) -> datetime:
    if not _IS_RFC_2822(text):
        raise ValueError(text)
    return email.utils.parsedate_to_datetime(text)


def _by_pattern(pattern: str) -> Callable[[str], datetime]:
    if pattern.endswith("%f"):
        return lambda text: datetime.strptime(text, pattern)
    # Spreadsheets and pandas write whole numbers such as 20200705 as 20200705.0.
    return lambda text: datetime.strptime(text.removesuffix(".0"), pattern)


def fitting_forms(texts: Sequence[str]) -> list[str]:
    """The values of `--time_format` that read all of some times.

    Example: ["12/13/2010 8:26"] -> ["%m/%d/%Y %H:%M"]; ["1/2/2010"] fits two forms.
    """
    return [
        form
        for form in _forms()
        if texts and _has_shape(texts[0], form) and _reads_all(form, texts)
    ]


def _has_shape(text: str, form: str) -> bool:
    """Whether a text has the blanks and signs of a form; spares most of the reading."""
    if "%" not in form:
        return True
    if "%z" in form:
        text = _ZONE.sub("", text, count=1)
    signs = _WORDS.sub("", _DIRECTIVES.sub("", form))
    return _WORDS.sub("", text).strip() == signs.strip()


def _forms() -> Iterator[str]:
    yield ISO_8601
    yield RFC_2822
    yield from _OTHER_FORMS
    for date, clock in itertools.product(_DATES, _CLOCKS):
        yield f"{date} {clock}".strip()
        if clock:
            yield f"{date}, {clock}"


def _reads_all(form: str, texts: Sequence[str]) -> bool:
    parse = make_time_parser("auto", form)
    try:
        for text in texts:
            parse(text)
    except BadRecord:
        return False
    return True

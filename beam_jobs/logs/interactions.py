"""One user action, and the rules by which a log's fields become one.

Nothing here depends on Beam, files or formats.
"""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, datetime
from typing import Any, NamedTuple

MAX_ID_BYTES = 256
"""A longer id is taken for a damaged line."""

END_OF_TIME_MS = 4_102_444_800_000
"""First millisecond of the year 2100, exclusive bound of a valid time."""

MILLISECONDS_FROM = 100_000_000_000
"""A number from here on cannot be seconds (year 5138), so it is milliseconds."""

SECONDS_FROM = 100_000_000
"""A number from here (1973) to `MILLISECONDS_FROM` is no web log's milliseconds."""

_FINER_UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}

_PER_MILLISECOND = {"us": 10**3, "ns": 10**6}

BAD_RECORD_REASONS = (
    "not_json",
    "missing_field",
    "wrong_type",
    "bad_time",
    "bad_rating",
    "empty_id",
    "invalid_utf8",
    "id_too_long",
    "id_has_whitespace",
    "wrong_column_count",
    "line_too_long",
)


class Interaction(NamedTuple):
    """A user's action on an item.

    Attributes:
        user: raw user id.
        item: raw item id.
        timestamp_ms: milliseconds since 1970 (UTC); in logs without times, the
            position within the user's sequence.
        rating: the star rating where the log has one; only read by `--min_rating`.
        split_number: the split that the log is for, in the order of `spec.SPLITS`,
            where files make the splits.
    """

    user: str
    item: str
    timestamp_ms: int
    rating: float | None = None
    split_number: int = 0


class BadRecord(ValueError):
    """A log line that is no action.

    Attributes:
        reason: one of `BAD_RECORD_REASONS`.
        detail: what was received, for the reader of `bad_records/`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


is_plain_id = re.compile(rf"[!-~]{{1,{MAX_ID_BYTES}}}").fullmatch
"""Most ids are printable ASCII, which needs no further look."""


def checked_id(value: object, field: str) -> str:
    """A raw id that can stand in `item_vocab.txt` and on a command line.

    Example: "B001" -> "B001"; "" -> BadRecord("empty_id").

    Raises:
        BadRecord: empty_id, wrong_type, id_too_long, id_has_whitespace, invalid_utf8.
    """
    if isinstance(value, str) and is_plain_id(value):
        return value
    if not isinstance(value, str):
        raise BadRecord("wrong_type", f"{field} must be a string, is {value!r:.80}")
    if not value:
        raise BadRecord("empty_id", f"{field} is empty")
    num_bytes = _checked_rare_id(value, field)
    if num_bytes > MAX_ID_BYTES:
        raise BadRecord(
            "id_too_long", f"{field} has {num_bytes} bytes, at most {MAX_ID_BYTES}"
        )
    return value


def _checked_rare_id(value: str, field: str) -> int:
    """Number of UTF-8 bytes of an id that is not short and plain printable ASCII."""
    try:
        num_bytes = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise BadRecord("invalid_utf8", f"{field} is {value!r:.80}") from None
    if not value.strip():
        raise BadRecord("empty_id", f"{field} is blank")
    if any(c.isspace() or ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in value):
        raise BadRecord("id_has_whitespace", f"{field} is {value!r:.80}")
    return num_bytes


def time_from_number(value: object, unit: str) -> int:
    """Milliseconds since 1970 of a number.

    Args:
        value: an int or float.
        unit: "s", "ms", "us", "ns", or "auto": seconds below `MILLISECONDS_FROM`, else
            milliseconds.

    Raises:
        BadRecord: wrong_type, or bad_time for NaN, a bool, a negative number and
            anything beyond the year 2100.
    """
    if isinstance(value, bool):
        raise BadRecord("bad_time", f"time is {value!r}")
    if not isinstance(value, int | float):
        raise BadRecord("wrong_type", f"time must be a number, is {value!r:.80}")
    if unit in _PER_MILLISECOND:
        per_ms = _PER_MILLISECOND[unit]
        value = value // per_ms if isinstance(value, int) else value / per_ms
    if not 0 <= value < END_OF_TIME_MS:  # holds for NaN too
        raise BadRecord("bad_time", f"time is {value!r:.80}{_in_another_unit(value)}")
    in_seconds = unit == "s" or (unit == "auto" and value < MILLISECONDS_FROM)
    timestamp_ms = round(value * 1000) if in_seconds else round(value)
    if timestamp_ms >= END_OF_TIME_MS:
        raise BadRecord(
            "bad_time",
            f"time {value!r:.80} is, in seconds, beyond the year 2100"
            + _in_another_unit(value),
        )
    return timestamp_ms


def _in_another_unit(value: float) -> str:
    """Names the unit in which a number too large for a time is one."""
    for unit, per_second in _FINER_UNITS.items():
        if SECONDS_FROM * per_second <= value < END_OF_TIME_MS // 1000 * per_second:
            moment = datetime.fromtimestamp(value / per_second, UTC)
            return f"; in {unit} it is {moment:%Y-%m-%d}"
    return ""


def checked_milliseconds(value: object, field: str) -> int:
    """Milliseconds since 1970 of a number that must be milliseconds.

    Raises:
        BadRecord: as `time_from_number`, and bad_time for what can only be seconds.
    """
    timestamp_ms = time_from_number(value, "ms")
    if SECONDS_FROM <= timestamp_ms < MILLISECONDS_FROM:
        moment = datetime.fromtimestamp(timestamp_ms, UTC)
        raise BadRecord(
            "bad_time",
            f"{field} must be milliseconds, is {value!r:.80}; in seconds it is "
            f"{moment:%Y-%m-%d}",
        )
    return timestamp_ms


def time_from_text(text: str, unit: str) -> int:
    """Milliseconds since 1970 of a number or an ISO 8601 date; without zone UTC.

    Example: ("978300760", "s") -> 978300760000; ("2001-01-01", "auto") ->
    978307200000.

    Raises:
        BadRecord: bad_time.
    """
    try:
        number = _number(text)
    except ValueError:
        if unit != "auto":
            raise BadRecord("bad_time", f"time is {text!r:.80}") from None
        return time_from_iso(text)
    return time_from_number(number, unit)


def _number(text: str) -> int | float:
    """int(text) or float(text), without the underscores that Python would take."""
    if "_" in text:
        raise ValueError(text)
    return int(text) if text.isdecimal() else float(text)


def time_from_iso(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 date or date and time.

    Raises:
        BadRecord: bad_time.
    """
    try:
        # BigQuery and PostgreSQL name the zone.
        moment = datetime.fromisoformat(text.strip().replace(" UTC", "+00:00"))
    except ValueError:
        raise BadRecord("bad_time", f"time is {text!r:.80}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return time_from_number(round(moment.timestamp() * 1000), "ms")


def rating_from(value: Any) -> float:
    """A rating as a finite number.

    Raises:
        BadRecord: bad_rating.
    """
    try:
        rating = _number(value) if isinstance(value, str) else value
    except ValueError:
        rating = math.nan
    if isinstance(rating, bool) or not isinstance(rating, int | float):
        rating = math.nan
    if not abs(rating) < sys.float_info.max:  # holds for NaN too
        raise BadRecord("bad_rating", f"rating is {value!r:.80}")
    return float(rating)

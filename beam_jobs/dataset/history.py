"""The last datasets before one: how many rows each log had, what distances were found.

Every dataset takes its predecessor's history over and appends itself. No wall-clock
time is in it: a dataset is named by its newest action, and equal logs give equal bytes.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from beam_jobs.dataset.validation_result import Measurement

HISTORY = "history.json"
"""Name of the file, in the folder of the statistics."""

KEPT_DATASETS = 20
_USUAL_DAYS = 30
"""Newest days of a log whose median is its usual day."""


class RowsError(ValueError):
    """A log with far fewer rows than those before it."""


class Entry(NamedTuple):
    """A dataset as its successors remember it.

    Attributes:
        newest_day: UTC date of the newest action; None if the logs have no times.
        is_increment: whether the job went on from another dataset's actions.
        rows: rows of the logs that the job read.
        rows_per_day: `usual_day` of those logs.
        users: users of the dataset.
        items: items of the dataset.
        actions: actions of those users.
        distances: what was measured.
    """

    newest_day: str | None
    is_increment: bool
    rows: int
    rows_per_day: float | None
    users: int
    items: int
    actions: int
    distances: list[Measurement]


class Baseline(NamedTuple):
    """The usual number of rows of a log, and its source."""

    rows: float
    source: str


def read_history(folder: Path) -> list[Entry]:
    """The entries of a dataset's folder of statistics, oldest first.

    A dataset of an earlier version has no such file, so no history.
    """
    path = folder / HISTORY
    if not path.exists():
        return []
    entries: list[dict] = json.loads(path.read_bytes())
    return [
        Entry(**entry | {"distances": [Measurement(*m) for m in entry["distances"]]})
        for entry in entries
    ]


def history_bytes(entries: Sequence[Entry]) -> bytes:
    """The file of the last entries."""
    content = [entry._asdict() for entry in entries[-KEPT_DATASETS:]]
    return json.dumps(content, indent=2).encode() + b"\n"


def date_of(day: int) -> str:
    """The UTC date of a day counted from 1970-01-01. Example: 1 -> "1970-01-02"."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def usual_day(rows_per_day: Mapping[int, int]) -> float | None:
    """The median rows of a log's newest days; None without times.

    A log's first and last day may be cut off, so they do not count; a log of one or two
    days is taken for one day, over midnight.
    """
    if not rows_per_day:
        return None
    inner = sorted(rows_per_day)[1:-1][-_USUAL_DAYS:]
    if not inner:
        return sum(rows_per_day.values())
    return statistics.median(rows_per_day[day] for day in inner)


def newest_day(history: Sequence[Entry], rows_per_day: Mapping[int, int]) -> str | None:
    """The date of the newest action of a log and of the datasets that it goes on from.

    Args:
        history: of the dataset that is gone on from, if any.
        rows_per_day: rows of the log by day.
    """
    known = [entry.newest_day for entry in history[-1:]]
    if rows_per_day:
        known.append(date_of(max(rows_per_day)))
    return max(filter(None, known), default=None)


def usual_rows(history: Sequence[Entry], is_increment: bool) -> Baseline | None:
    """The rows that a log's are compared with; None if nothing is known.

    Logs of increments are compared with each other, and so are logs of whole datasets.
    The first increment is compared with a day of the log before it.
    """
    alike = [e.rows for e in history if e.is_increment == is_increment and e.rows]
    if alike:
        many = f"the median of the last {len(alike)} logs"
        source = many if len(alike) > 1 else "the log before"
        return Baseline(statistics.median(alike), source)
    days = [e.rows_per_day for e in history if e.rows_per_day]
    if is_increment and days:
        return Baseline(
            days[-1], f"a day of the log before, of its newest {_USUAL_DAYS}"
        )
    return None


def check_rows(rows: int, usual: Baseline | None, min_share: float) -> None:
    """Refuses a log with too few rows.

    Args:
        rows: rows of the logs that the job read; none are no log.
        usual: what to compare with, if anything is known.
        min_share: the least share of that.

    Raises:
        RowsError: naming both numbers and how to let the log through.
    """
    if usual is None or rows == 0 or rows >= min_share * usual.rows:
        return
    raise RowsError(
        f"the logs of `--input` have {rows:,} rows, {rows / usual.rows:.1%} of the "
        f"usual {usual.rows:,.0f} ({usual.source}); at least {min_share:.0%} are "
        "expected. Is a log cut off or missing? If not, lower `--min_rows_share` (0 "
        "lets any through)"
    )

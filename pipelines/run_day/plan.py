"""Which logs make the next day, and which day it goes on from.

A day's actions count from when its version is in service. Logs of a refused day, or of
one whose version was withdrawn, stay out of later days until they are asked for.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.run_day.folders import Base, Day
from pipelines.run_day.versions import in_service
from s4rec_tf.atomic_files import write_json
from s4rec_tf.spec import sha256_of_file

Log = dict[str, Any]
"""A log file: path, bytes, modified (nanoseconds) and sha256."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The next thing to do.

    Attributes:
        day: the day to run; None if all logs are in service.
        left_out: logs of refused and withdrawn days that no day in service has.
    """

    day: Day | None
    left_out: tuple[Log, ...]


def chain(base: Base) -> list[Day]:
    """The day in service and those that its dataset goes on from, newest first."""
    version = in_service(base)
    number = None if version is None else version.day
    days = []
    while number is not None:
        days.append(base.day(number))
        number = days[-1].read_plan()["previous"]
    return days


def choose(base: Base, paths: Sequence[Path], take_left_out: bool) -> Choice:
    """Chooses the day to run, and plans it if it is new.

    An unfinished day is resumed with its own logs. One that was refused or failed is
    tried again if no other log is new.

    Args:
        base: the base folder.
        paths: log files that exist; those of earlier days may be among them.
        take_left_out: whether logs of refused and withdrawn days count as new.
    """
    days = base.days()
    logs = _described(paths, days)
    newest = days[-1] if days else None
    in_chain = chain(base)
    if newest in in_chain:
        newest = None
    outcome = newest.read_outcome().get("outcome") if newest else "none"
    if newest and outcome is None:
        if _unchanged(newest, logs, in_chain):
            return Choice(newest, ())
        shutil.rmtree(newest.root)
        return choose(base, paths, take_left_out)
    counted = _digests(in_chain)
    out = _digests(day for day in days if _stays_out(day)) - counted
    known = counted if take_left_out else counted | out
    new = [log for log in logs if log["sha256"] not in known]
    left_out = tuple(log for log in logs if log["sha256"] in out & known)
    own = _digests([newest])
    if newest and outcome != "pushed" and {log["sha256"] for log in new} <= own:
        if _unchanged(newest, logs, in_chain):
            return Choice(newest, left_out)
    if not new:
        return Choice(None, left_out)
    return Choice(_planned(base, days, in_chain, new), left_out)


def _stays_out(day: Day) -> bool:
    """Whether a day's logs wait for an operator, should no day in service have them."""
    return day.read_outcome().get("outcome") in ("refused", "pushed")


def _planned(
    base: Base, days: Sequence[Day], in_chain: Sequence[Day], new: Sequence[Log]
) -> Day:
    day = base.day(days[-1].number + 1 if days else 1)
    day.root.mkdir(parents=True, exist_ok=True)
    previous = in_chain[0].number if in_chain else None
    write_json(day.plan, {"day": day.number, "previous": previous, "logs": list(new)})
    return day


def _digests(days: Iterable[Day | None]) -> set[str]:
    return {log["sha256"] for day in days if day for log in day.read_plan()["logs"]}


def _unchanged(day: Day, logs: Sequence[Log], in_chain: Sequence[Day]) -> bool:
    """Whether a day's logs are there as planned, and the day before is in service."""
    there = {(log["path"], log["sha256"]) for log in logs}
    plan, before = day.read_plan(), in_chain[0].number if in_chain else None
    are_there = all((log["path"], log["sha256"]) in there for log in plan["logs"])
    return are_there and plan["previous"] == before


def _described(paths: Sequence[Path], days: Sequence[Day]) -> list[Log]:
    """The logs with their digests; those of earlier days are not read again."""
    known = {
        (log["path"], log["bytes"], log["modified"]): log["sha256"]
        for day in days
        for log in day.read_plan()["logs"]
    }
    logs = []
    for path in dict.fromkeys(path.resolve() for path in paths):
        status = path.stat()
        identity = str(path), status.st_size, status.st_mtime_ns
        sha256 = known.get(identity) or sha256_of_file(path)
        names = ("path", "bytes", "modified")
        logs.append({**dict(zip(names, identity, strict=True)), "sha256": sha256})
    return list({log["sha256"]: log for log in reversed(logs)}.values())[::-1]

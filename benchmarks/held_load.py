"""The load that a server holds, of loads that were offered one after the other."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

HELD_SHARE = 0.97
"""Least share of an offered load that is answered."""


@dataclasses.dataclass(frozen=True)
class Offered:
    """Result of one offered load.

    Attributes:
        server: its name.
        offered_per_second: calls that came.
        answered_per_second: calls that were answered.
        p50_ms: median time of an answer, from when its call was due; None without one.
        p99_ms: likewise.
        p999_ms: likewise.
        shed: calls refused by RESOURCE_EXHAUSTED.
        failed: calls that failed otherwise.
        cpu_ms: the server's processor time for a call.
    """

    server: str
    offered_per_second: float
    answered_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    shed: int
    failed: int
    cpu_ms: float | None

    def is_held(self, max_p99_ms: float) -> bool:
        """Whether it was answered in time, and nothing of it was refused or failed."""
        return (
            self.answered_per_second >= HELD_SHARE * self.offered_per_second
            and self.p99_ms is not None
            and self.p99_ms <= max_p99_ms
            and self.failed == self.shed == 0
        )


def read(server: str, report: dict[str, Any], cpu_seconds: float) -> Offered:
    """Reads what the load generator reports.

    Args:
        server: its name.
        report: see `load_generator/main.go`.
        cpu_seconds: that the server took meanwhile, the warm-up included.
    """
    times, others = report["ok_ms"], dict(report["codes"])
    others.pop("OK", None)
    shed = others.pop("ResourceExhausted", 0)
    answered = report["answered_in_all"]
    return Offered(
        server=server,
        offered_per_second=round(report["offered_per_second"], 1),
        answered_per_second=round(report["answered_per_second"], 1),
        p50_ms=times.get("p50"),
        p99_ms=times.get("p99"),
        p999_ms=times.get("p99.9"),
        shed=shed,
        failed=sum(others.values()),
        cpu_ms=round(1e3 * cpu_seconds / answered, 3) if answered else None,
    )


def median(passes: Sequence[Offered]) -> Offered:
    """One load of several passes: medians of figures, sums of what went wrong.

    A time that is missing in a pass, since nothing was answered, counts as endless.
    """

    def middle(name: str) -> Any:
        values = [getattr(row, name) for row in passes]
        found = statistics.median_low(
            float("inf") if value is None else value for value in values
        )
        return None if found == float("inf") else found

    figures = [
        field.name
        for field in dataclasses.fields(Offered)
        if field.name not in ("server", "shed", "failed")
    ]
    return Offered(
        server=passes[0].server,
        shed=sum(row.shed for row in passes),
        failed=sum(row.failed for row in passes),
        **{name: middle(name) for name in figures},
    )


def highest_held(rows: Sequence[Offered], max_p99_ms: float) -> Offered | None:
    """The highest load below the first that is not held; None if none is below it.

    Args:
        rows: of rising loads. What comes after the first failure does not count: by
            chance one of several loads that are too high may look well.
        max_p99_ms: limit of p99.
    """
    held = None
    for row in rows:
        if not row.is_held(max_p99_ms):
            break
        held = row
    return held

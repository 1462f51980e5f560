"""Counts of a job, for its manifest and its lines of progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from beam_jobs.job_report import JobReport
from beam_jobs.layout import ACTIONS
from beam_jobs.transforms.group_by_user import Ties

LARGE_SHARE = 0.05
"""A user or item with a larger share of all actions is named."""


class JobCounts(NamedTuple):
    """Counts of a job.

    Attributes:
        lines: lines of the logs that are not blank.
        bad: bad lines by reason.
        not_selected: valid actions outside the selection.
        taken: actions taken from logs and the dataset before, erased ones left out.
        distinct: those of them that differ.
        users: users of all of them.
        erased: actions dropped because their user or item is to be erased.
        capped_users: users with more actions than the cap.
        capped_actions: their oldest actions, which count no further.
        tied: actions that share their time with another of the same user.
        core_users: users of the dataset.
        core_actions: actions of the dataset.
    """

    lines: int
    bad: dict[str, int]
    not_selected: int
    taken: int
    distinct: int
    users: int
    erased: int
    capped_users: int
    capped_actions: int
    tied: int
    core_users: int
    core_actions: int

    @property
    def duplicates(self) -> int:
        """Actions dropped because an equal one occurred."""
        return self.taken - self.distinct

    @classmethod
    def of_report(
        cls, report: JobReport, metrics: Mapping[str, int] | None = None
    ) -> JobCounts:
        """The counts of a report.

        Args:
            report: of all pipelines.
            metrics: an engine's counters, which come before the report's.
        """
        counts = report.counts | dict(metrics or {})
        erased = counts.get("erased", 0)
        taken = counts.get("interactions", 0) + counts.get("previous_actions", 0)
        distinct = sum(
            file.examples or 0
            for file in report.files
            if file.name.startswith(f"{ACTIONS}/")
        )
        bad = {
            name.removeprefix("bad_"): number
            for name, number in sorted(counts.items())
            if name.startswith("bad_")
        }
        return cls(
            lines=counts.get("lines", 0),
            bad=bad,
            not_selected=counts.get("not_selected", 0),
            taken=taken - erased,
            distinct=distinct,
            users=counts.get("users", 0),
            erased=erased,
            capped_users=counts.get("capped_users", 0),
            capped_actions=distinct - counts.get("sequence_actions", 0),
            tied=counts.get("tied_actions", 0),
            core_users=counts.get("users_in_core", 0),
            core_actions=counts.get("actions_in_core", 0),
        )


def remarks(report: JobReport, ties: Ties) -> Iterator[str]:
    """Lines on what in the logs may be a mistake."""
    counts = JobCounts.of_report(report)
    if counts.tied:
        order = "by item id" if ties == "item_id" else "by a hash"
        yield (
            f"{counts.tied:,} of {counts.distinct:,} actions share their time with "
            f"another of the same user; they are ordered {order} (--ties)"
        )
    found = (("user", report.largest_users), ("item", report.largest_items))
    for role, largest in found:
        number, name = max(largest, default=(0, ""))
        if number > LARGE_SHARE * counts.taken:
            yield (
                f"the largest {role}, {name}, has {number:,} of {counts.taken:,} "
                f"actions ({number / counts.taken:.0%}); ids that stand for a missing "
                "value are named by --null_ids"
            )
    if report.twins:
        first = min(report.twins)
        yield (
            f"ids are texts, and {len(report.twins):,} occur in two forms, such as "
            f"{first} and {first}.0"
        )

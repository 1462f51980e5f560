"""Comparison of the records that leave a step with those that come to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from beam_jobs.job_report import JobReport
from beam_jobs.layout import ACTIONS, BAD_RECORDS
from s4rec_tf.spec import SPLITS


class LostRecordsError(ValueError):
    """An engine gave a step more or fewer records than the step before made."""


class Passage(NamedTuple):
    """Records between two steps.

    Attributes:
        records: what they are.
        left: number that the first step gave.
        step: the second one.
        arrived: number that it took.
    """

    records: str
    left: int
    step: str
    arrived: int


def check_reading(found: JobReport, has_repeats: bool) -> None:
    """Compares the actions that were read with those that were grouped and written.

    Args:
        found: the report of the first pipeline.
        has_repeats: whether actions are dropped that stand in another split's logs.

    Raises:
        LostRecordsError: naming the step.
    """
    _check(_reading(found, has_repeats))


def check_examples(found: JobReport, item_counts: Iterable[int]) -> None:
    """Compares the core's actions with those that were counted, numbered and written.

    Args:
        found: the report of all pipelines.
        item_counts: actions of every item of the vocabulary.

    Raises:
        LostRecordsError: naming the step.
    """
    _check(_examples(found, sum(item_counts)))


def _reading(found: JobReport, has_repeats: bool) -> Iterator[Passage]:
    counts = found.counts
    grouped = counts.get("grouped_actions", 0)
    if not has_repeats:
        taken = counts.get("interactions", 0) + counts.get("previous_actions", 0)
        left = taken - counts.get("erased", 0)
        yield Passage("actions", left, "grouping by user", grouped)
    yield Passage("actions", grouped, f"{ACTIONS}/", _arrived(found, ACTIONS))
    bad = counts.get("bad", 0)
    yield Passage("bad lines", bad, f"{BAD_RECORDS}/", _arrived(found, BAD_RECORDS))


def _examples(found: JobReport, counted: int) -> Iterator[Passage]:
    counts = found.counts
    in_core = counts.get("actions_in_core", 0)
    yield Passage("actions", in_core, "counting items", counted)
    head_users = counts.get("head_users", 0)
    yield Passage("head users", found.head[0], "making examples", head_users)
    for split in SPLITS:
        made = counts.get(f"{split}_examples", 0)
        yield Passage("examples", made, f"{split}/", _arrived(found, split))


def _arrived(found: JobReport, folder: str) -> int:
    files = [file for file in found.files if file.name.startswith(f"{folder}/")]
    return sum(file.arrived or 0 for file in files)


def _check(passages: Iterator[Passage]) -> None:
    for records, left, step, arrived in passages:
        if left != arrived:
            raise LostRecordsError(
                f"every one of {left:,} {records} must come to {step}. "
                f"Received: {arrived:,}. The engine lost or repeated some, and nothing "
                "is published"
            )

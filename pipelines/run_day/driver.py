"""Runs what is to be done, day after day; goes back; prints where things stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.run_day import lineage, plan, versions
from pipelines.run_day.folders import Base, Day
from pipelines.run_day.runner import Commands, Refused, Runner
from pipelines.run_day.settings import STEPS, Settings
from pipelines.run_day.steps import Steps, settle

Report = Callable[[str], None]


def run(
    base: Base,
    settings: Settings,
    logs: Sequence[Path],
    take_left_out: bool,
    commands: Commands,
    report: Report,
) -> dict[str, Any]:
    """Runs an unfinished day, and a new one if there are new logs.

    Args:
        base: the base folder, locked.
        settings: the operator's.
        logs: log files; those of earlier days may be among them.
        take_left_out: whether logs of refused and withdrawn days count as new.
        commands: runs a module.
        report: prints a line.

    Returns:
        the outcome: day and version in service, and a text.

    Raises:
        ValueError: naming day, step and reason, if a day was refused or failed.
    """
    settle(base, settings.keep)
    before = versions.in_service(base)
    while True:
        choice = plan.choose(base, logs, take_left_out)
        if choice.left_out:
            names = ", ".join(log["path"] for log in choice.left_out)
            report(f"left out, since their day was refused or withdrawn: {names}")
        if choice.day is None:
            return _in_service(base, is_new=versions.in_service(base) != before)
        _run_day(
            Steps(base, choice.day, settings, _runner(choice.day, commands, report))
        )
        if settings.until != STEPS[-1]:
            text = f"day {choice.day.number}: done until {settings.until}"
            return {"day": choice.day.number, "version": None, "text": text}


def _runner(day: Day, commands: Commands, report: Report) -> Runner:
    report(f"day {day.number}, in {day.root}")
    return Runner(day.root / "steps", commands, report)


def _run_day(steps: Steps) -> None:
    for name, step in steps.in_order().items():
        try:
            step()
        except (ValueError, OSError) as error:
            kind = "refused" if isinstance(error, Refused) else "failed"
            lineage.write_outcome(steps.day, kind, name, str(error))
            text = f"day {steps.day.number} is {kind} at {name}: {error}"
            raise ValueError(text) from error
        if name == steps.settings.until:
            return


def _in_service(base: Base, is_new: bool) -> dict[str, Any]:
    version = versions.in_service(base)
    if version is None:
        raise ValueError(
            f"no version is in service in {base.served}, and no log is new"
        )
    text = f"version {version.number} of day {version.day} is in service"
    if not is_new:
        text = f"up to date: {text}"
    return {"day": version.day, "version": version.number, "text": text}


def rollback(base: Base) -> dict[str, Any]:
    """Withdraws the newest version; raises as `versions.rollback`."""
    withdrawn, before = versions.rollback(base)
    text = (
        f"version {withdrawn} is withdrawn; version {before} is in service. Logs of "
        "the withdrawn version's day stay out until --take_left_out"
    )
    return {"withdrawn": withdrawn, "version": before, "text": text}


def status(base: Base) -> str:
    """A line for every day."""
    numbers = versions.numbers(base)
    made = {
        versions.read_lineage(base, number)["day"]: number
        for number in numbers
        if versions.has_lineage(base, number)
    }
    lines = [_status_line(day, made, numbers) for day in base.days()]
    return "\n".join(lines or [f"{base.root} has no day yet"])


def _status_line(day: Day, made: dict[int, int], numbers: Sequence[int]) -> str:
    found, logs = day.read_outcome(), len(day.read_plan()["logs"])
    version = made.get(day.number)
    where = ""
    if version is not None:
        is_newest = version == numbers[-1]
        where = f", version {version}{' in service' if is_newest else ''}"
    text = f"day {day.number}, {logs} logs: {found.get('outcome', 'unfinished')}{where}"
    if found.get("outcome") in ("refused", "failed"):
        text += f" at {found['step']}: {found['reason']}"
    return text

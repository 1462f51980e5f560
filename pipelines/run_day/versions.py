"""Versions in service: which one, pushing the next, going back, removing old ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.run_day.folders import Base, read_json
from s4rec_tf import spec
from s4rec_tf.atomic_files import write_json
from s4rec_tf.export import protocol, publish

LINEAGE = "lineage.json"
"""Name of the file beside a version's manifest that says what made the version."""

_WITHDRAWN = ".withdrawn-"
_PRUNED = ".pruned-"


class VersionError(ValueError):
    """Versions on disk that do not allow what was asked."""


class Version(NamedTuple):
    """A version that servers load.

    Attributes:
        number: its number.
        day: the day that made it.
        lineage: what made it.
    """

    number: int
    day: int
    lineage: dict[str, Any]


def numbers(base: Base) -> list[int]:
    """Numbers of the versions that servers see, ascending."""
    if not base.served.is_dir():
        return []
    found = (spec.version_number(entry.name) for entry in base.served.iterdir())
    return sorted(number for number in found if number is not None)


def in_service(base: Base) -> Version | None:
    """The newest version that servers see; None if there is none.

    Raises:
        VersionError: if another command wrote it.
    """
    found = numbers(base)
    return _version(base, found[-1]) if found else None


def _version(base: Base, number: int) -> Version:
    if not has_lineage(base, number):
        raise VersionError(
            f"version {number} in {base.served} was not pushed by this command: it has "
            f"no {LINEAGE} in {meta_of(base, number)}. Move the version elsewhere"
        )
    lineage = read_lineage(base, number)
    return Version(number, lineage["day"], lineage)


def has_lineage(base: Base, number: int) -> bool:
    """Whether this command pushed a version."""
    return (meta_of(base, number) / LINEAGE).is_file()


def read_lineage(base: Base, number: int) -> dict[str, Any]:
    """The lineage of a version."""
    content: dict[str, Any] = read_json(meta_of(base, number) / LINEAGE)
    return content


def meta_of(base: Base, number: int) -> Path:
    """Folder of a version's manifest, card, golden requests and lineage."""
    return base.served / protocol.META_FOLDER / str(number)


def next_number(base: Base) -> int:
    """The number that the next version gets; none is used twice."""
    return publish.next_number(base.served)


def push(base: Base, candidate: Path, lineage: dict[str, Any]) -> None:
    """Lets a validated export appear to servers, whole, by one rename.

    Args:
        base: the base folder.
        candidate: the export's version, EXPORT/NAME/N.
        lineage: what made it, with its day.

    Raises:
        protocol.ExportError: if the number was taken meanwhile.
    """
    number = int(candidate.name)
    meta = candidate.parent / protocol.META_FOLDER / candidate.name
    with publish.new_version(base.served, number) as staging:
        shutil.copytree(candidate, staging.model)
        shutil.copytree(meta, staging.meta, dirs_exist_ok=True)
        write_json(staging.meta / LINEAGE, {"version": number, **lineage})


def rollback(base: Base) -> tuple[int, int]:
    """Withdraws the newest version; servers go back to the one before.

    Returns:
        the withdrawn number, and the one in service from now on.

    Raises:
        VersionError: if there is no version before it.
    """
    found = numbers(base)
    if len(found) < 2:
        raise VersionError(
            f"a rollback needs two versions in {base.served}. Received: {found}"
        )
    newest, before = found[-1], found[-2]
    _version(base, before)
    (base.served / str(newest)).rename(base.served / f"{_WITHDRAWN}{newest}")
    return newest, before


def prune(base: Base, keep: int) -> None:
    """Removes all but the newest versions, and folders of days that nothing needs.

    The days of the kept versions stay whole, and so does the newest day. Of others the
    plan, the outcome and the findings stay.

    Args:
        base: the base folder.
        keep: number of versions, 2 at least, so that a rollback is possible.
    """
    for number in numbers(base)[:-keep]:
        # Out of the servers' sight before it is no longer whole.
        (base.served / str(number)).rename(base.served / f"{_PRUNED}{number}")
    for name in (_WITHDRAWN, _PRUNED):
        for path in base.served.glob(f"{name}*"):
            shutil.rmtree(path)
    pushed = [number for number in numbers(base) if has_lineage(base, number)]
    needed = {read_lineage(base, number)["day"] for number in pushed}
    days = base.days()
    for day in days[:-1]:
        if day.number not in needed:
            for path in day.bulk():
                shutil.rmtree(path, ignore_errors=True)
    for day in days:
        if day.read_outcome().get("outcome") == "pushed":
            shutil.rmtree(day.export, ignore_errors=True)

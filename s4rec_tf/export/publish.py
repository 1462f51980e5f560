"""Makes a version appear whole: numbered under a lock, written beside, renamed.

Servers poll `BASE/NAME` and load any numeric folder the moment they see it, so nothing
numeric may exist before it is complete and on disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from s4rec_tf import spec
from s4rec_tf.export import protocol

LOCK_NAME = ".lock"
INCOMPLETE = ".incomplete-"


@dataclasses.dataclass(frozen=True)
class Staging:
    """A version that is being written.

    Attributes:
        number: the version's number N.
        model: folder that becomes BASE/NAME/N.
        meta: folder that becomes BASE/NAME/.meta/N.
        version_dir: BASE/NAME/N, which does not exist yet.
    """

    number: int
    model: Path
    meta: Path
    version_dir: Path


@contextlib.contextmanager
def new_version(export_dir: Path, number: int | None = None) -> Iterator[Staging]:
    """Yields folders to write into; publishes them when the block ends without error.

    A second writer waits. What a killed writer left behind is removed by the next one.

    Args:
        export_dir: BASE/NAME; created if missing.
        number: of the version; None for the next.

    Raises:
        ExportError: if `export_dir` cannot be written, or the number is taken.
    """
    try:
        export_dir.mkdir(parents=True, exist_ok=True)
        lock = (export_dir / LOCK_NAME).open("w")
    except OSError as error:
        raise protocol.ExportError(
            f"`export_dir` {export_dir} cannot be written: {error.strerror}"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in export_dir.glob(f"{INCOMPLETE}*"):
            shutil.rmtree(leftover)
        number = _checked(number, next_number(export_dir), export_dir)
        staged = export_dir / f"{INCOMPLETE}{number}"
        staging = Staging(
            number, staged / "model", staged / "meta", export_dir / str(number)
        )
        try:
            staging.meta.mkdir(parents=True)
            yield staging
            _publish(staging)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _checked(number: int | None, least: int, export_dir: Path) -> int:
    if number is None or least <= number <= spec.MAX_VERSION:
        return number or least
    raise protocol.ExportError(
        f"`version` must be from {least}, the next in {export_dir}, to "
        f"{spec.MAX_VERSION}. Received: {number}"
    )


def next_number(export_dir: Path) -> int:
    """One more than the highest version ever begun there.

    A number in `.meta` counts too: a number is never used twice, even if its version
    was deleted or never became visible. A name that servers ignore does not count.

    Raises:
        ExportError: if no number is left.
    """
    folders = (export_dir, export_dir / protocol.META_FOLDER)
    names = [
        entry.name
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
    ]
    numbers = [spec.version_number(name) for name in names]
    highest = max((number for number in numbers if number is not None), default=0)
    if highest == spec.MAX_VERSION:
        raise protocol.ExportError(
            f"a version must be at most {spec.MAX_VERSION}, which is taken in "
            f"{export_dir}: remove that folder and its entry in {protocol.META_FOLDER}"
        )
    return highest + 1


def _publish(staging: Staging) -> None:
    meta_dir = staging.version_dir.parent / protocol.META_FOLDER
    meta_dir.mkdir(exist_ok=True)
    _sync_tree(staging.model)
    _sync_tree(staging.meta)
    # First the meta: a version that can be seen has its manifest.
    os.rename(staging.meta, meta_dir / str(staging.number))
    _sync(meta_dir)
    os.rename(staging.model, staging.version_dir)
    _sync(staging.version_dir.parent)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            _sync(Path(folder) / name)
        _sync(Path(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

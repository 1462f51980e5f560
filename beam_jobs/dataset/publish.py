"""A dataset folder appears whole or not at all, and one writer at a time.

Everything is written in a folder beside the output, on the same file system, and
renamed when it is finished; `MANIFEST.json` is written last.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from beam_jobs.layout import BAD_RECORDS
from beam_jobs.storage.digests import WrittenFile, write_whole
from beam_jobs.storage.files import new_file, remote, remove_tree
from beam_jobs.storage.remote_path import RemotePath, check_scheme, delete_below
from s4rec_tf import spec

_MARKER = ".unfinished-s4rec-dataset"
_TELLTALES = ("item_vocab.txt", "dataset.json")
_CONTENTS = {
    *spec.SPLITS,
    *_TELLTALES,
    "actions",
    "statistics",
    BAD_RECORDS,
    "schema.pbtxt",
    "anomalies.pbtxt",
    "item_counts.txt",
}


class OutputError(ValueError):
    """An output folder that cannot be written, or must not be."""


class StagingDir(NamedTuple):
    """Where a dataset is being built.

    Attributes:
        dataset: the folder that becomes the output.
        work: folder for intermediate files.
        output: the folder that it becomes.
    """

    dataset: Path
    work: Path
    output: Path


@contextlib.contextmanager
def building(output: Path) -> Iterator[StagingDir]:
    """Locks an output folder and opens a place beside it to build its content.

    When the block ends, by an error or not, what is left of that place is removed.

    Raises:
        OutputError: if the output is finished, foreign, or being written by another.
    """
    if there := remote(output):
        with _building_remotely(output, there) as remote_place:
            yield remote_place
        return
    output = Path(os.path.abspath(output))
    _make_parent(output)
    with _lock(output):
        check_output(output)
        _remove_stale(output)
        place = Path(tempfile.mkdtemp(prefix=f"{output.name}.tmp-", dir=output.parent))
        try:
            (place / _MARKER).touch()
            for name in ("dataset", "work"):
                (place / name).mkdir()
            yield StagingDir(place / "dataset", place / "work", output)
        finally:
            shutil.rmtree(place)


@contextlib.contextmanager
def _building_remotely(output: Path, there: RemotePath) -> Iterator[StagingDir]:
    """The dataset is built in its own place, and is one as soon as it has a manifest.

    An object store renames nothing, and locks nothing: one writer is the caller's care.
    """
    check_scheme(str(there))
    place = place_itself(output)
    try:
        yield place
    except BaseException:
        delete_below(there)
        raise
    finally:
        remove_tree(place.work)


def place_itself(output: Path) -> StagingDir:
    """A place whose dataset is built in the output folder itself, which is emptied.

    What is left of a job that failed is no dataset, since it has no manifest.

    Raises:
        OutputError: if the output is finished or foreign.
    """
    check_output(output)
    remove_tree(output)
    work = output.with_name(f"{output.name}.tmp-{uuid.uuid4().hex}")
    return StagingDir(output, work, output)


def _make_parent(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"`--output` {output} cannot be made: {error.strerror}"
        ) from error


def check_output(output: Path) -> None:
    """Refuses an output that is neither absent, empty, nor an unfinished leftover.

    Raises:
        OutputError: saying why.
    """
    if not output.exists() and not output.is_symlink():
        return
    if output.is_symlink() or not output.is_dir():
        raise OutputError(f"`--output` {output} exists and is no folder")
    if (output / spec.MANIFEST_NAME).exists():
        raise OutputError(
            f"`--output` {output} is a finished dataset already; name another folder"
        )
    names = {path.name for path in output.iterdir()}
    is_leftover = names <= _CONTENTS and not names.isdisjoint(_TELLTALES)
    if names and not is_leftover:
        raise OutputError(
            f"`--output` {output} exists and is no unfinished dataset (it holds "
            f"{', '.join(sorted(names)[:3])}); name another folder"
        )


@contextlib.contextmanager
def _lock(output: Path) -> Iterator[None]:
    path = output.with_name(f".{output.name}.lock")
    with contextlib.ExitStack() as stack:
        descriptor = None
        while descriptor is None:
            descriptor = _try_lock(path, output)
        stack.callback(os.close, descriptor)
        stack.callback(path.unlink)
        yield


def _try_lock(path: Path, output: Path) -> int | None:
    """A descriptor that holds the lock; None if the file went as it was locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise OutputError(
            f"`--output` {output} is being written by another process "
            f"(it holds the lock {path})"
        ) from None
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None


def _remove_stale(output: Path) -> None:
    """Removes what killed jobs left; the lock says that none of them is alive."""
    for place in output.parent.glob(f"{glob.escape(output.name)}.tmp-*"):
        if (place / _MARKER).is_file():
            shutil.rmtree(place)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """A JSON file with sorted keys."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"


def write_manifest(
    root: Path, counts: Mapping[str, Any], files: Iterable[WrittenFile]
) -> None:
    """Writes `MANIFEST.json`; removes what a lost worker left half written.

    Args:
        root: the dataset folder.
        counts: what the job counted.
        files: everything that belongs in the folder.
    """
    entries = {}
    for file in files:
        entries[file.name] = {"sha256": file.sha256, "bytes": file.bytes}
        if file.examples is not None:
            entries[file.name]["examples"] = file.examples
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).as_posix() not in entries:
            path.unlink()
    manifest = {
        "format_version": spec.FORMAT_VERSION,
        "counts": counts,
        "files": entries,
    }
    write_whole(str(root), spec.MANIFEST_NAME, json_bytes(manifest))


def publish(place: StagingDir) -> None:
    """Makes the finished folder durable, then lets it appear under its name."""
    if place.dataset == place.output:
        return
    for path in [*place.dataset.rglob("*"), place.dataset]:
        _sync(path)
    if place.output.exists():
        check_output(place.output)
        place.output.rename(place.work / "leftover")
    place.dataset.rename(place.output)
    _sync(place.output.parent)


def keep_bad_records(place: StagingDir) -> Path:
    """Moves the bad records of a job that fails beside the output, where they stay."""
    kept = place.output.with_name(f"{place.output.name}.{BAD_RECORDS}")
    if remote(kept):
        return _copy_bad_records(place, kept)
    if kept.is_dir() and all(p.match("part-*.jsonl") for p in kept.iterdir()):
        kept.rename(place.work / "previous_bad_records")
    elif kept.exists():
        kept = Path(tempfile.mkdtemp(prefix=f"{kept.name}-", dir=kept.parent))
    (place.dataset / BAD_RECORDS).rename(kept)
    return kept


def _copy_bad_records(place: StagingDir, kept: Path) -> Path:
    for path in (place.dataset / BAD_RECORDS).iterdir():
        with new_file(kept / path.name) as copy:
            copy.write(path.read_bytes())
    return kept


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

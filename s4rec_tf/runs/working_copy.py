"""Run folders in an object store, and the copies on this machine that commands use.

A command works in a copy, which knows its store by the file `.store.json`. `publish`
copies what has changed to the store, in an order in which the store's objects are a
run that resumes, whenever it is broken off:

1. configuration, logs and results;
2. `best.npz`, which may be an epoch ahead of the state, as in any run folder;
3. `before_last.npz`, which becomes what `last.npz` is in the store;
4. `last.npz`, by one object that replaces the other;
5. `MANIFEST.json`, which says whether the run is finished.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from s4rec_tf.atomic_files import write_json
from s4rec_tf.runs.store import SCHEMES, Store, StoreError
from s4rec_tf.spec import MANIFEST_NAME

_RECORD = ".store.json"
_BEFORE, _LAST = "checkpoints/before_last.npz", "checkpoints/last.npz"
_IN_THIS_ORDER = ("checkpoints/best.npz", _BEFORE, _LAST, MANIFEST_NAME)
_OF_TRAINERS = (_BEFORE, _LAST)
"""States, which no other command reads."""
_NEVER_FETCHED = "tensorboard/"
"""A training that resumes writes further files there."""


class OtherTraining(ValueError):
    """A run folder in a store in which a second training writes."""


@dataclasses.dataclass
class _Record:
    """The store of a copy, and what both have in common.

    Attributes:
        url: of the store.
        files: by name the stamp of the file that the store's object equals.
        etags: by name the store's mark of the object.
    """

    url: str
    files: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    etags: dict[str, str | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> _Record | None:
        """The record of a copy; None for any other folder."""
        path = root / _RECORD
        return cls(**json.loads(path.read_text("utf-8"))) if path.is_file() else None

    def note(self, root: Path, name: str, etag: str | None) -> None:
        """Notes, and writes, that a file and its object are equal."""
        self.files[name], self.etags[name] = _stamp(root / name), etag
        write_json(root / _RECORD, dataclasses.asdict(self))

    def is_current(self, store: Store) -> bool:
        """Whether the store's run is the one that the copy goes on from."""
        return self.etags.get(MANIFEST_NAME) is not None and all(
            store.etag(name) == self.etags.get(name) for name in (MANIFEST_NAME, _LAST)
        )


def run_folder(text: str) -> str:
    """A folder of this machine or an address of a store, of a command line.

    Raises:
        argparse.ArgumentTypeError: for an address of another kind.
    """
    if "://" in text and not text.startswith(tuple(f"{s}://" for s in SCHEMES)):
        raise argparse.ArgumentTypeError(
            f"must be a folder, or begin with gs:// or s3://. Received: {text}"
        )
    return text


@contextlib.contextmanager
def opened(run_dir: str, with_states: bool = False) -> Iterator[Path]:
    """A run folder to read, and to add results to; a passing copy if it is remote.

    Args:
        run_dir: a folder, or an address of a store.
        with_states: whether to fetch the states that a training resumes from.

    Raises:
        StoreError: if the store cannot be read.
    """
    if "://" not in run_dir:
        yield Path(run_dir)
        return
    store = Store(run_dir)
    with tempfile.TemporaryDirectory(prefix="s4rec_run_") as folder:
        root = Path(folder) / _name(store)
        _fetch(store, root, () if with_states else _OF_TRAINERS)
        if not with_states and not _names(root):
            raise StoreError(f"{store.url} holds no run")
        yield root


@contextlib.contextmanager
def opened_to_train(run_dir: str) -> Iterator[Path]:
    """A run folder to train in; a copy if it is remote, kept unless the block ends.

    A kept copy is gone on with if the store still holds what the copy began with.

    Args:
        run_dir: a folder, or an address of a store.

    Raises:
        StoreError: if the store cannot be read, or another process of this machine
            trains in it.
    """
    if "://" not in run_dir:
        yield Path(run_dir)
        return
    store = Store(run_dir)
    root = _place(store)
    with _locked(root.with_name(f"{root.name}.lock"), store):
        record = _Record.read(root)
        if record is None or not record.is_current(store):
            _fetch(store, root, ())
        print(f"{store.url} is trained in its copy {root}", file=sys.stderr)
        try:
            yield root
        except StoreError as error:
            raise StoreError(
                f"{error}. All of the run is in {root}; the same command goes on there "
                "when the store is back"
            ) from error
        shutil.rmtree(root)


def publish(root: Path) -> None:
    """Copies what has changed in a copy to its store; nothing for any other folder.

    Args:
        root: the run folder.

    Raises:
        StoreError: if the store cannot be written.
        OtherTraining: if another training has written its state there.
    """
    record = _Record.read(root)
    if record is None:
        return
    changed = [n for n in _names(root) if record.files.get(n) != _stamp(root / n)]
    store = Store(record.url)
    if _LAST in changed and store.etag(_LAST) != record.etags.get(_LAST):
        raise OtherTraining(
            f"{store.url}/{_LAST} must be the state that {root} wrote. Received: that "
            "of another training; end one of the two"
        )
    for name in changed:
        if name == _BEFORE and record.files.get(_LAST) == _stamp(root / name):
            store.copy(_LAST, _BEFORE)
        else:
            store.put(root / name, name)
        record.note(root, name, store.etag(name))


def _names(root: Path) -> list[str]:
    """Files of a run folder in the order of publishing, without hidden ones."""
    found = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    ]
    order = {name: number for number, name in enumerate(_IN_THIS_ORDER)}
    return sorted(found, key=lambda name: (order.get(name, -1), name))


def _stamp(path: Path) -> list[int]:
    """A mark that changes with a file's content: files are replaced or grow."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _fetch(store: Store, root: Path, without: tuple[str, ...]) -> None:
    """Replaces a copy by what the store holds; a broken call leaves no copy."""
    shutil.rmtree(root, ignore_errors=True)
    new = root.with_name(f"{root.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    record = _Record(store.url)
    for name in store.names():
        if name not in without and not name.startswith(_NEVER_FETCHED):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            # Before: a training that writes meanwhile is then found.
            etag = store.etag(name)
            store.fetch(name, new / name)
            record.note(new, name, etag)
    write_json(new / _RECORD, dataclasses.asdict(record))
    os.replace(new, root)


def _name(store: Store) -> str:
    return store.url.rpartition("/")[2]


def _place(store: Store) -> Path:
    """The folder of a store's copy to train in, which other users cannot read."""
    folder = Path(tempfile.gettempdir()) / f"s4rec_tf_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise StoreError(f"{folder} must belong to this user; set TMPDIR elsewhere")
    digest = hashlib.sha256(store.url.encode()).hexdigest()
    return folder / f"{_name(store)}_{digest[:12]}"


@contextlib.contextmanager
def _locked(path: Path, store: Store) -> Iterator[None]:
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"another process trains in {store.url}") from error
        yield

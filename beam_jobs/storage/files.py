"""Writing a file whole or not at all, with bytes that depend on the content alone."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from beam_jobs.storage.remote_path import (
    RemotePath,
    delete_below,
    is_remote,
    new_object,
)
from s4rec_tf.atomic_files import replaced

_BLOCK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of writing, of which Python does not say which file they are about."""


def as_path(text: str) -> Path:
    """The path that a text names: a local one, or a url of an object store.

    A `RemotePath` has all of a `Path`'s methods that the job uses.
    """
    return cast(Path, RemotePath(text)) if is_remote(text) else Path(text)


def remote(path: Path) -> RemotePath | None:
    """The path if it is one of an object store."""
    found: object = path
    return found if isinstance(found, RemotePath) else None


def remove_tree(folder: Path) -> None:
    """Deletes a folder and all that is in it; none is well, too."""
    if there := remote(folder):
        delete_below(there)
    elif folder.exists():
        shutil.rmtree(folder)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name when the block ends without an error.

    A worker that is retried, or raced by its backup, replaces the file by an equal one.

    Raises:
        OSError: if it cannot be written; a full disk or quota too, by the file's name.
    """
    if there := remote(path):
        with new_object(there) as stream:
            yield stream
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replaced(path, suffix=uuid.uuid4().hex) as file:
            yield file
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextlib.contextmanager
def new_gzip_file(path: Path, compression: int = 9) -> Iterator[BinaryIO]:
    """`new_file`, compressed, without the time and name that gzip would store.

    Args:
        path: the file.
        compression: from 1, fastest, to 9, smallest.
    """
    with (
        new_file(path) as raw,
        gzip.GzipFile("", "wb", compression, raw, mtime=0) as packed,
        io.BufferedWriter(cast(io.RawIOBase, packed), _BLOCK_BYTES) as stream,
    ):
        yield cast(BinaryIO, stream)

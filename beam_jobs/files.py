"""Writing a file whole or not at all, with bytes that depend on the content alone."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

_BLOCK_BYTES = 1 << 20


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name when the block ends without an error.

    A worker that is retried, or raced by its backup, replaces the file by an equal one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as stream:
            yield stream
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


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

"""Writing a file whole or not at all, with bytes that depend on the content alone."""

from __future__ import annotations

import contextlib
import gzip
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast


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
def new_gzip_file(path: Path) -> Iterator[BinaryIO]:
    """`new_file`, compressed, without the time and name that gzip would store."""
    with (
        new_file(path) as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream,
    ):
        yield cast(BinaryIO, stream)

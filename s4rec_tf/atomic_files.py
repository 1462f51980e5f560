"""Writing a file whole or not at all: beside its place, synced, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def replaced(path: Path, suffix: str = "tmp") -> Iterator[BinaryIO]:
    """Opens a file that takes its name when the block ends without an error.

    An interrupted or failed write leaves the file that was there before.

    Args:
        path: the file; its folder must exist.
        suffix: ends the name that the file has until then. Writers that may write the
            same file at the same time need different ones.

    Raises:
        OSError: if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{suffix}")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file by one with this content."""
    with replaced(path) as stream:
        stream.write(content)


def write_json(path: Path, value: Any) -> None:
    """Replaces a file by indented JSON with a line feed at its end."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())

"""One runner at a time under a base folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path


class LockedError(ValueError):
    """Another runner works in the folder."""


@contextlib.contextmanager
def locked(base: Path) -> Iterator[None]:
    """Holds the lock of a base folder; the system frees it when the process ends.

    Raises:
        LockedError: naming the other runner's process and since when it runs.
    """
    base.mkdir(parents=True, exist_ok=True)
    with (base / ".lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"{base} is in use: {_holder(base)}") from None
        stream.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        stream.write(json.dumps({"pid": os.getpid(), "since": since}))
        stream.flush()
        yield


def _holder(base: Path) -> str:
    try:
        holder = json.loads((base / ".lock").read_text("utf-8"))
    except ValueError:  # it has the lock and has not yet written its name
        return "another runner has just started there; retry later"
    return (
        f"process {holder['pid']} runs a day there since {holder['since']}; wait for "
        "its end, or stop that process"
    )

"""Identity of a file by its file system's metadata, without reading it."""

from __future__ import annotations

import datetime
import os
from typing import NamedTuple

from beam_jobs.storage.remote_path import RemotePath, is_remote


class FileIdentity(NamedTuple):
    """The identity of a file in its file system.

    Attributes:
        name: its base name.
        bytes: its size as stored.
        modified: when it was last written, ISO 8601 (UTC).
        checksum: the store's own (an etag or a checksum); None on a local disk.
    """

    name: str
    bytes: int
    modified: str
    checksum: str | None = None


def identify(path: str) -> FileIdentity:
    """The identity of a file.

    Raises:
        OSError: if there is no such file or the store does not answer.
    """
    if is_remote(path):
        return _identify_object(RemotePath(path))
    status = os.stat(path)
    return FileIdentity(
        os.path.basename(path), status.st_size, _moment(status.st_mtime)
    )


def _identify_object(there: RemotePath) -> FileIdentity:
    status = there.stat()
    return FileIdentity(
        there.name, status.st_size, _moment(status.st_mtime), there.checksum()
    )


def _moment(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds")

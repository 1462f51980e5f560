"""From a downloaded file to the log that the data job reads."""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import cast

from beam_jobs.fetch.catalogue import PublishedLog
from beam_jobs.storage.files import new_file

_BLOCK_BYTES = 1 << 20


class ArchiveError(ValueError):
    """A downloaded file that is damaged or is not what it should be."""


def unpack(published: PublishedLog, file: Path) -> Path:
    """The log in a downloaded file; members of an archive are written beside it.

    Raises:
        ArchiveError: if the file is damaged or lacks the log.
    """
    try:
        if not published.members:
            _read_through(file)
            return file
        return _unpack_members(published.members, file)
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{file} is damaged: {error}") from None


def _read_through(file: Path) -> None:
    """Reads a gzip file to its end, where its checksum stands."""
    with gzip.open(file) as stream:
        while stream.read(_BLOCK_BYTES):
            pass


def _unpack_members(members: tuple[str, ...], file: Path) -> Path:
    written: list[Path] = []
    with zipfile.ZipFile(file) as archive:
        for member in members:
            if member not in archive.namelist():
                raise ArchiveError(
                    f"{file} must hold {member}. Received: no such member"
                )
            target = file.with_name(member.rpartition("/")[2])
            with archive.open(member) as source, new_file(target) as stream:
                shutil.copyfileobj(cast("gzip.GzipFile", source), stream, _BLOCK_BYTES)
            written.append(target)
    return written[0]

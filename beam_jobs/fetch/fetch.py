"""Brings a published log into a folder, with a receipt of what was fetched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

from beam_jobs.fetch.catalogue import PublishedLog
from beam_jobs.fetch.download import Download, Report
from beam_jobs.fetch.unpack import unpack
from beam_jobs.storage.files import new_file

RECEIPT_NAME = "FETCHED.json"
Checked = Literal["known", "given", "as_before", "first_use"]
"""Source of the expected digest: the catalogue's, the command line's, that of an
earlier fetch, or nothing."""


class DigestError(ValueError):
    """A file with other bytes than expected."""


class Receipt(NamedTuple):
    """Record of a download, kept as `FETCHED.json` in its folder.

    Attributes:
        name: of the log.
        url: its address.
        file: the downloaded file's name.
        bytes: its size.
        sha256: its hex digest.
        checked: what the digest was compared with.
        log: name of the file that the data job reads.
    """

    name: str
    url: str
    file: str
    bytes: int
    sha256: str
    checked: Checked
    log: str


class Wanted(NamedTuple):
    """One call of the command.

    Attributes:
        name: of the log.
        published: the catalogue's entry.
        folder: where to put it.
        url: where to fetch it, or None for the publisher's address.
        sha256: the digest that the user expects, or None.
        from_file: the publisher's file, fetched by other means, or None.
    """

    name: str
    published: PublishedLog
    folder: Path
    url: str | None = None
    sha256: str | None = None
    from_file: Path | None = None

    @property
    def file(self) -> Path:
        """The downloaded file's place."""
        return self.folder / self.published.file_name


def fetch(wanted: Wanted, report: Report) -> Receipt:
    """Fetches a log, or checks the one that is there.

    Args:
        wanted: which log, and where.
        report: called with the progress of a download.

    Raises:
        DownloadError: if the file cannot be had.
        DigestError: if it has another digest than expected.
        ArchiveError: if it is damaged.
        OSError: if the folder cannot be written.
    """
    wanted.folder.mkdir(parents=True, exist_ok=True)
    if wanted.from_file is not None:
        sha256 = _checked_digest(wanted, wanted.from_file)
        with wanted.from_file.open("rb") as source, new_file(wanted.file) as stream:
            shutil.copyfileobj(source, stream)
    elif wanted.file.exists():
        sha256 = _checked_digest(wanted, wanted.file)
    else:
        sha256 = _download(wanted, report)
    return _finish(wanted, sha256)


def _download(wanted: Wanted, report: Report) -> str:
    part = wanted.file.with_name(wanted.file.name + ".part")
    download = Download(wanted.url or wanted.published.url, part)
    download.run(report)
    download.forget()
    try:
        sha256 = _checked_digest(wanted, part)
        os.replace(part, wanted.file)
    finally:
        part.unlink(missing_ok=True)
    return sha256


def _checked_digest(wanted: Wanted, file: Path) -> str:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    expected, _ = _expected(wanted)
    if expected is not None and sha256 != expected:
        raise DigestError(
            f"{file} must have the sha256 {expected}. Received: {sha256}. Remove it "
            "and fetch it again; if the publisher has changed the file, "
            f"--sha256 {sha256} takes it"
        )
    return sha256


def _expected(wanted: Wanted) -> tuple[str | None, Checked]:
    if wanted.sha256 is not None:
        return wanted.sha256, "given"
    if wanted.published.sha256 is not None:
        return wanted.published.sha256, "known"
    path = wanted.folder / RECEIPT_NAME
    if path.exists():
        return str(json.loads(path.read_text("utf-8"))["sha256"]), "as_before"
    return None, "first_use"


def _finish(wanted: Wanted, sha256: str) -> Receipt:
    log = unpack(wanted.published, wanted.file)
    receipt = Receipt(
        wanted.name,
        wanted.url or wanted.published.url,
        wanted.file.name,
        wanted.file.stat().st_size,
        sha256,
        _expected(wanted)[1],
        log.name,
    )
    text = json.dumps(receipt._asdict(), indent=2)
    with new_file(wanted.folder / RECEIPT_NAME) as stream:
        stream.write(f"{text}\n".encode())
    return receipt

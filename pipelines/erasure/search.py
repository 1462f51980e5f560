"""Search of files for ids, inside gzip and zip archives and Parquet too."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from beam_jobs.logs.parquet import MAGIC, DamagedParquet, rows_as_json
from beam_jobs.storage.files import remote

_CHUNK = 1 << 24
_ROWS = 10_000
"""Rows of Parquet that are searched at a time."""

_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, DamagedParquet)
_LEAST_BASE64 = 6
"""Characters of base64; shorter parts stand in any file by chance."""


class Needles:
    """The forms in which ids lie in files.

    As they are, escaped in JSON, at any place of a base64 text, and as the digest that
    models with user vectors hold in place of the id (`s4rec_tf.models.users`).
    """

    def __init__(self, ids: Iterable[bytes]) -> None:
        """Takes ids that are not empty."""
        forms = {form for raw_id in ids for form in _forms(raw_id)}
        self._longest = max(map(len, forms))
        self._pattern = re.compile(b"|".join(map(re.escape, sorted(forms))))

    def are_in(self, path: Path) -> bool:
        """Whether a file holds any of them, packed or not."""
        return any(self._stand_in(pieces) for pieces in _contents(path))

    def _stand_in(self, pieces: Iterator[bytes]) -> bool:
        tail = b""
        # A packing that breaks off is searched up to there.
        with contextlib.suppress(*_BROKEN):
            for piece in pieces:
                part = tail + piece
                if self._pattern.search(part):
                    return True
                tail = part[-self._longest :]
        return False


def files_with(needles: Needles, folders: Iterable[Path]) -> list[Path]:
    """All files below folders that hold any of the needles."""
    files = sorted(path for folder in folders for path in folder.rglob("*"))
    return [p for p in files if (remote(p) or p.is_file()) and needles.are_in(p)]


def _forms(raw_id: bytes) -> Iterator[bytes]:
    yield raw_id
    for is_ascii in (True, False):
        text = json.dumps(raw_id.decode("utf-8", "replace"), ensure_ascii=is_ascii)
        yield text[1:-1].encode()
    yield hashlib.blake2b(raw_id, digest_size=8).digest()
    for shift, unsure in ((0, 0), (1, 2), (2, 3)):
        sure = (shift + len(raw_id)) * 8 // 6
        form = base64.b64encode(bytes(shift) + raw_id)[unsure:sure]
        if len(form) >= _LEAST_BASE64:
            yield form


def _contents(path: Path) -> Iterator[Iterator[bytes]]:
    """The content of a file in pieces: as it lies, and unpacked."""
    with path.open("rb") as stream:
        yield _pieces(cast(io.BufferedIOBase, stream))
    with path.open("rb") as stream:
        start = stream.read(len(MAGIC))
        stream.seek(0)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(stream) as unpacked:
                yield _pieces(cast(io.BufferedIOBase, unpacked))
        elif start == MAGIC:
            yield _rows(stream)
        elif zipfile.is_zipfile(stream):
            yield from _members(stream)


def _pieces(stream: io.BufferedIOBase) -> Iterator[bytes]:
    return iter(lambda: stream.read1(_CHUNK), b"")


def _rows(stream: BinaryIO) -> Iterator[bytes]:
    """The rows of a Parquet file as JSON, whatever packs its columns."""
    rows = rows_as_json(stream, ())
    return iter(lambda: b"\n".join(itertools.islice(rows, _ROWS)), b"")


def _members(stream: BinaryIO) -> Iterator[Iterator[bytes]]:
    with zipfile.ZipFile(stream) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                yield _pieces(cast(io.BufferedIOBase, member))

"""Search of files for ids, inside gzip and zip archives too."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

_CHUNK = 1 << 24
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
        return any(self._stand_in(part) for part in _parts(path))

    def _stand_in(self, stream: io.BufferedIOBase) -> bool:
        tail = b""
        # A packing that breaks off is searched up to there.
        with contextlib.suppress(EOFError, OSError, zipfile.BadZipFile):
            while chunk := stream.read1(_CHUNK):
                part = tail + chunk
                if self._pattern.search(part):
                    return True
                tail = part[-self._longest :]
        return False


def files_with(needles: Needles, folders: Iterable[Path]) -> list[Path]:
    """All files below folders that hold any of the needles."""
    files = sorted(path for folder in folders for path in folder.rglob("*"))
    return [path for path in files if path.is_file() and needles.are_in(path)]


def _forms(raw_id: bytes) -> Iterator[bytes]:
    yield raw_id
    yield json.dumps(raw_id.decode("utf-8", "replace"))[1:-1].encode()
    yield hashlib.blake2b(raw_id, digest_size=8).digest()
    for shift, unsure in ((0, 0), (1, 2), (2, 3)):
        sure = (shift + len(raw_id)) * 8 // 6
        form = base64.b64encode(bytes(shift) + raw_id)[unsure:sure]
        if len(form) >= _LEAST_BASE64:
            yield form


def _parts(path: Path) -> Iterator[io.BufferedIOBase]:
    """The content of a file as it lies, and unpacked."""
    with path.open("rb") as plain:
        is_gzip = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        yield plain
    if is_gzip:
        with gzip.open(path) as unpacked:
            yield unpacked
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    yield cast(io.BufferedIOBase, member)

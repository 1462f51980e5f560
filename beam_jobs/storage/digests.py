"""Files whose digest is known when they are written, so that nobody reads them back."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from beam_jobs.storage.files import as_path, new_file

_BLOCK_BYTES = 1 << 20


class WrittenFile(NamedTuple):
    """A file of the dataset folder, for its manifest.

    Attributes:
        name: below the folder, with slashes.
        sha256: hex digest of its bytes.
        bytes: its size.
        examples: number of its records; None for a file without records.
        arrived: records that came to whoever wrote them, duplicates included.
    """

    name: str
    sha256: str
    bytes: int
    examples: int | None = None
    arrived: int | None = None


class DigestStream(io.RawIOBase):
    """Passes on what is written and keeps its digest and size."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._digest = hashlib.sha256()
        self.num_bytes = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        """Writes bytes."""
        self._stream.write(data)
        self._digest.update(data)
        self.num_bytes += len(data)
        return len(data)

    def written(self, name: str, examples: int | None = None) -> WrittenFile:
        """The manifest's entry of the file, under a name."""
        return WrittenFile(name, self._digest.hexdigest(), self.num_bytes, examples)


def write_whole(root: str, name: str, content: bytes) -> WrittenFile:
    """Writes a small file of a folder.

    Args:
        root: the folder.
        name: of the file, below it.
        content: its bytes.
    """
    with new_file(as_path(root) / name) as raw:
        stream = DigestStream(raw)
        stream.write(content)
    return stream.written(name)


@contextlib.contextmanager
def new_gzip_stream(
    path: Path, compression: int = 9
) -> Iterator[tuple[BinaryIO, DigestStream]]:
    """Opens a gzip file that appears when the block ends without an error.

    The time and name that gzip would store are left out: equal content, equal bytes.

    Args:
        path: the file.
        compression: from 1, fastest, to 9, smallest.

    Yields:
        the stream to write to, and that of the packed bytes, complete after the block.
    """
    with new_file(path) as raw:
        digest = DigestStream(raw)
        packed = gzip.GzipFile("", "wb", compression, cast(BinaryIO, digest), mtime=0)
        with (
            packed,
            io.BufferedWriter(cast(io.RawIOBase, packed), _BLOCK_BYTES) as stream,
        ):
            yield cast(BinaryIO, stream), digest

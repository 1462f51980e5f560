"""Opening raw logs: globs; plain, gzip or Parquet by content; bounded lines."""

from __future__ import annotations

import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from beam_jobs.logs import parquet
from beam_jobs.storage.files import as_path
from beam_jobs.storage.remote_path import is_remote, matching
from s4rec_tf import spec

MAX_LINE_BYTES = 32 << 20
"""A longer line is a damaged one; only a user's whole sequence comes near."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InputError(ValueError):
    """An input that cannot be read at all, as opposed to one bad line."""


class Fingerprint(NamedTuple):
    """What identifies an input file: base name, size, sha256 of its bytes on disk."""

    name: str
    bytes: int
    sha256: str


def match_files(patterns: Sequence[str]) -> list[str]:
    """The files that match any of the patterns, each once, directories left out.

    Raises:
        InputError: naming a pattern without a match.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        files = matching(pattern) if is_remote(pattern) else _local_files(pattern)
        if not files:
            raise InputError(f"`--input` matches no file. Received: {pattern!r}")
        for path in files:
            identity = path if is_remote(path) else os.path.realpath(path)
            found.setdefault(identity, path)
    return sorted(found.values())


def _local_files(pattern: str) -> list[str]:
    matches = [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
    return [path for path in matches if os.path.isfile(path)]


def fingerprint(path: str) -> Fingerprint:
    """The fingerprint of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        file = as_path(path)
        digest = spec.sha256_of_file(file)
        return Fingerprint(file.name, file.stat().st_size, digest)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read: {reason}") from error


def read_lines(path: str, columns: tuple[str, ...] = ()) -> Iterator[bytes]:
    r"""The lines of a plain or gzip file without their ends ("\n" or "\r\n").

    A line longer than `MAX_LINE_BYTES` comes out cut to one byte more than that. A row
    of a Parquet file is a line of JSON.

    Args:
        path: the file.
        columns: those of a Parquet file that are needed; none means all.

    Raises:
        InputError: naming a file that cannot be read or is damaged.
    """
    try:
        with as_path(path).open("rb") as raw:
            if raw.peek(4).startswith(parquet.MAGIC):
                yield from parquet.rows_as_json(raw, columns)
            else:
                yield from _lines_of(_decompressed(raw))
    except parquet.DamagedParquet as error:
        raise InputError(f"{path} is a damaged Parquet file: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader:
    if raw.peek(2)[:2] != _GZIP_MAGIC:
        return raw
    # GzipFile is no RawIOBase by type, but has all that a BufferedReader calls.
    unpacked = cast(io.RawIOBase, gzip.GzipFile(fileobj=raw, mode="rb"))
    return io.BufferedReader(unpacked, 1 << 20)


def _lines_of(stream: io.BufferedReader) -> Iterator[bytes]:
    line = stream.readline(MAX_LINE_BYTES + 2).removeprefix(_BYTE_ORDER_MARK)
    while line:
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            yield line[: MAX_LINE_BYTES + 1]
            _skip_to_next_line(stream)
        else:
            yield line.rstrip(b"\r\n")
        line = stream.readline(MAX_LINE_BYTES + 2)


def _skip_to_next_line(stream: io.BufferedReader) -> None:
    rest = stream.readline(MAX_LINE_BYTES)
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(MAX_LINE_BYTES)

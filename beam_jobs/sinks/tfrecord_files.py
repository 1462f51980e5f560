"""TFRecord files without TensorFlow, whose import alone takes ten seconds.

A record is its length (8 bytes), the masked CRC-32C of those, the data, and the masked
CRC-32C of the data, all little endian (tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import functools
import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import google_crc32c

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_MASK_DELTA = 0xA282EAD8
_BLOCK_BYTES = 1 << 20


class DamagedRecords(ValueError):
    """A TFRecord file that is cut off or whose checksums do not hold."""


def write_record(stream: BinaryIO, data: bytes) -> None:
    """Appends one record to an open file."""
    stream.write(_header(len(data)) + data + _checksum(data))


@functools.lru_cache(maxsize=4096)
def _header(num_bytes: int) -> bytes:
    length = _LENGTH.pack(num_bytes)
    return length + _checksum(length)


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a gzip TFRecord file.

    Raises:
        DamagedRecords: naming the file and the number of the record, from 0.
    """
    with path.open("rb") as raw:
        yield from records_of(raw, str(path))


def records_of(raw: BinaryIO, name: str) -> Iterator[bytes]:
    """The records of an open gzip TFRecord file.

    Raises:
        DamagedRecords: by the given name and the number of the record, from 0.
    """
    number = 0
    try:
        with (
            gzip.open(raw, "rb") as packed,
            # Records are short, and GzipFile.read itself is slow Python.
            io.BufferedReader(cast(io.RawIOBase, packed), _BLOCK_BYTES) as stream,
        ):
            while header := stream.read(_HEADER.size):
                yield _read_data(stream, header)
                number += 1
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise DamagedRecords(f"{name} is damaged at record {number}: {error}") from None


def _read_data(stream: BinaryIO, header: bytes) -> bytes:
    if len(header) != _HEADER.size:
        raise ValueError("cut off within a record's header")
    length, _ = _HEADER.unpack(header)
    if header[8:] != _checksum(header[:8]):
        raise ValueError("the length's checksum does not hold")
    data = stream.read(length)
    footer = stream.read(_FOOTER.size)
    if len(data) != length or len(footer) != _FOOTER.size:
        raise ValueError("cut off within a record")
    if footer != _checksum(data):
        raise ValueError("the data's checksum does not hold")
    return data


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
    return _FOOTER.pack((rotated + _MASK_DELTA) & 0xFFFFFFFF)

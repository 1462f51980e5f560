"""TFRecord files of tf.train.Examples, without TensorFlow.

Importing TensorFlow takes ten seconds. A record is its length (8 bytes), the masked
CRC-32C of those, the data, and the masked CRC-32C of the data, all little endian
(tensorflow/core/lib/io/record_writer.h). What writing by hand gains:
docs/results/data_jobs.md.
"""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from beam_jobs.splits import untagged_time

Feature = bytes | int | list[int]
"""One bytes value, one int64 value, or a list of int64 values."""

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_MASK_DELTA = 0xA282EAD8
_BLOCK_BYTES = 1 << 20
_WRITTEN_AT_ONCE = 1000


class DamagedRecords(ValueError):
    """A TFRecord file that is cut off or whose checksums do not hold."""


def write_records(stream: BinaryIO, records: Iterable[bytes]) -> int:
    """Appends records to an open file, many at a time; their number."""
    number = 0
    remaining = iter(records)
    while some := list(itertools.islice(remaining, _WRITTEN_AT_ONCE)):
        stream.write(
            b"".join([_header(len(data)) + data + _checksum(data) for data in some])
        )
        number += len(some)
    return number


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


class _Varints(dict[int, bytes]):
    """Protocol buffers' form of a number; that of small ones is made once."""

    def __missing__(self, number: int) -> bytes:
        varint = _to_varint(number)
        if number < _KEPT_VARINTS:
            self[number] = varint
        return varint


_KEPT_VARINTS = 1 << 17
_VARINTS = _Varints()


def _to_varint(number: int) -> bytes:
    left = number & 0xFFFFFFFFFFFFFFFF  # int64: negative numbers by two's complement
    digits = bytearray()
    while left > 0x7F:
        digits.append(left & 0x7F | 0x80)
        left >>= 7
    digits.append(left)
    return bytes(digits)


def serialize_example(features: Mapping[str, Feature]) -> bytes:
    """A serialized tf.train.Example; equal features give equal bytes."""
    entries = [
        _numbers_entry(name, value)
        if isinstance(value, list)
        else _value_entry(name, value)
        for name, value in sorted(features.items())
    ]
    return _field(_FIRST, b"".join(entries))


def _numbers_entry(name: str, numbers: list[int]) -> bytes:
    packed = b"".join([_VARINTS[number] for number in numbers])
    return _before_numbers(name, len(packed)) + packed


@functools.lru_cache(maxsize=1 << 12)
def _before_numbers(name: str, num_bytes: int) -> bytes:
    """Bytes before a list of numbers; they depend on its size alone."""
    numbers = _field(_FIRST, bytes(num_bytes)) if num_bytes else b""
    entry = _entry(name, _field(_THIRD, numbers))
    return entry[: len(entry) - num_bytes]


@functools.lru_cache(maxsize=1 << 16)
def _value_entry(name: str, value: bytes | int) -> bytes:
    """An entry of one value, which the examples of a user share."""
    if isinstance(value, bytes):
        return _entry(name, _field(_FIRST, _field(_FIRST, value)))
    return _entry(name, _field(_THIRD, _field(_FIRST, _VARINTS[value])))


def _entry(name: str, feature: bytes) -> bytes:
    """An entry of `Features.feature`: the key in field 1, the feature in field 2.

    A feature holds a list of bytes in field 1, or a packed list of numbers in field 3.
    """
    return _field(_FIRST, _field(_FIRST, name.encode()) + _field(_SECOND, feature))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _VARINTS[len(content)] + content


_FIRST, _SECOND, _THIRD = b"\x0a", b"\x12", b"\x1a"
"""Tags of fields that hold bytes or a message, by number."""

Action = tuple[bytes, int, bytes]
"""User, time as `splits.tagged_time` made it, item."""

_SHORT_ID = 64
"""Up to here every length below takes one byte."""

_TIME_BYTES = 6
"""Of the varint of a time from 1971 to 2109."""

# Tag, length and content of: Example.features; three times Features.feature with key
# and value, each value a list of one element; in order of key.
_TEMPLATE = (
    b"\x0a%c"
    b"\x0a%c\x0a\x04item\x12%c\x0a%c\x0a%c%b"
    b"\x0a\x1a\x0a\x0ctimestamp_ms\x12\x0a\x1a\x08\x0a\x06%b"
    b"\x0a%c\x0a\x07user_id\x12%c\x0a%c\x0a%c%b"
)
_FIXED_BYTES = 14 + 28 + 17


def serialize_action(action: Action) -> bytes:
    """The bytes that `serialize_example` would give, in a fifth of its time."""
    user, time, item = action
    varint = _time_varint(time)
    m, n = len(item), len(user)
    if m > _SHORT_ID or n > _SHORT_ID or m + n > 68 or len(varint) != _TIME_BYTES:
        time = untagged_time(time)
        return serialize_example({"user_id": user, "item": item, "timestamp_ms": time})
    lengths = (_FIXED_BYTES + m + n, m + 12, m + 4, m + 2, m)
    return _TEMPLATE % (*lengths, item, varint, n + 15, n + 4, n + 2, n, user)


@functools.lru_cache(maxsize=1 << 16)
def _time_varint(time: int) -> bytes:
    """A time without its split; many actions share theirs where logs have days."""
    return _to_varint(untagged_time(time))


_PACKAGE = "s4rec.tensorflow"
_Field = descriptor_pb2.FieldDescriptorProto


def _add_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, type_: Any
) -> None:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if isinstance(type_, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{type_}"
    else:
        field.type = type_


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="s4rec_example.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, type_ in (
        ("BytesList", _Field.TYPE_BYTES),
        ("FloatList", _Field.TYPE_FLOAT),
        ("Int64List", _Field.TYPE_INT64),
    ):
        values = file.message_type.add(name=name)
        _add_field(values, "value", 1, type_)
        values.field[0].label = _Field.LABEL_REPEATED

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, kind in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        _add_field(feature, kind.lower().replace("list", "_list"), number, kind)
        feature.field[-1].oneof_index = 0

    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _Field.TYPE_STRING)
    _add_field(entry, "value", 2, "Feature")
    _add_field(features, "feature", 1, "Features.FeatureEntry")
    features.field[0].label = _Field.LABEL_REPEATED

    _add_field(file.message_type.add(name="Example"), "features", 1, "Features")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
_Example: Any = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName(f"{_PACKAGE}.Example")
)


def parse_example(serialized: bytes) -> dict[str, list[Any]]:
    """The values of every feature of a serialized tf.train.Example."""
    example = _Example.FromString(serialized)
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in example.features.feature.items()
        if feature.WhichOneof("kind")
    }

"""Kinds of files, told by their first bytes; archives and the like are refused."""

from __future__ import annotations

import gzip
import io
import shlex
import zlib
from typing import NamedTuple, cast

from beam_jobs.logs import parquet
from beam_jobs.logs.files import InputError
from beam_jobs.storage.files import as_path

HEAD_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_TAR_MAGIC = slice(257, 262)
_CONTROL_SIGNS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_MOST_SIGNS = 0.02

_ARCHIVES = {
    b"BZh": ("a bzip2 file", "bunzip2 -k {path}"),
    b"\xfd7zXZ\x00": ("an xz file", "unxz -k {path}"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "zstd -d {path}"),
    b"\x04\x22\x4d\x18": ("an LZ4 file", "lz4 -d {path} {path}.txt"),
    b"\x1f\x9d": ("a compress (.Z) file", "uncompress -k {path}"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "7z x {path}"),
    b"Rar!\x1a\x07": ("a RAR archive", "unrar x {path}"),
    _GZIP_MAGIC: ("gzip within gzip", "gunzip -c {path} > {path}.unpacked.gz"),
}

_OTHER_KINDS = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow (Feather) file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"%PDF": "a PDF document",
    b"MATLAB 5.0": "a MATLAB file",
}

_ENCODINGS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

_MARKUP = (b"<!doctype html", b"<html", b"<?xml")


class Container(NamedTuple):
    r"""The wrapping of a file's bytes.

    Attributes:
        kind: "plain", "gzip" or "parquet".
        line_end: "\n" or "\r", as of `LineFormat`.
    """

    kind: str
    line_end: str = "\n"


def find_container(path: str) -> Container:
    """The container of a log file.

    Raises:
        InputError: if it cannot be read, or is an archive, a workbook, a text in
            another encoding than UTF-8; names what to do.
    """
    try:
        with as_path(path).open("rb") as raw:
            head = raw.read(HEAD_BYTES)
            if head.startswith(parquet.MAGIC):
                return Container("parquet")
            is_packed = head.startswith(_GZIP_MAGIC)
            if is_packed:
                raw.seek(0)
                packed = gzip.GzipFile(fileobj=raw, mode="rb")
                head = cast(io.RawIOBase, packed).read(HEAD_BYTES) or b""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read: {reason}") from error
    _refuse_other_kinds(path, head, is_packed)
    return Container("gzip" if is_packed else "plain", _line_end(head))


def _line_end(head: bytes) -> str:
    line_feeds = head.count(b"\n")
    alone = head.count(b"\r") - head.count(b"\r\n") - head.endswith(b"\r")
    ends_in_one = head.endswith(b"\r") and len(head) < HEAD_BYTES
    return "\r" if alone + ends_in_one > line_feeds else "\n"


def _refuse_other_kinds(path: str, head: bytes, is_packed: bool) -> None:
    quoted = shlex.quote(path)
    if head.startswith((_ZIP_MAGIC, _EMPTY_ZIP)):
        raise InputError(_zip_message(path, head))
    for magic, (kind, command) in _ARCHIVES.items():
        if head.startswith(magic):
            command = command.format(path=quoted)
            raise InputError(f"{path} is {kind}: unpack it by `{command}`")
    if head[_TAR_MAGIC] == b"ustar":
        raise InputError(f"{path} is a tar archive: unpack it by `tar -xf {quoted}`")
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise InputError(
                f"{path} is {kind}, no log: export it as CSV in UTF-8, as JSON lines "
                "or as Parquet"
            )
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise InputError(
            f"{path} is HTML or XML, no log (a download that failed?). It begins: "
            f"{head[:60].decode('utf-8', 'replace')!r}"
        )
    if encoding := _other_encoding(head):
        source = f"gunzip -c {quoted} | iconv" if is_packed else "iconv"
        argument = "" if is_packed else f" {quoted}"
        raise InputError(
            f"{path} is {encoding}; logs must be UTF-8: convert it by `{source} "
            f"-f {encoding} -t UTF-8{argument} > {shlex.quote(path + '.utf8')}`"
        )
    signs = len(head) - len(head.translate(None, _CONTROL_SIGNS))
    if signs > _MOST_SIGNS * len(head):
        raise InputError(
            f"{path} is no text: {signs} of its first {len(head)} bytes are control "
            "characters. Logs are text in UTF-8, plain or gzip, or Parquet"
        )


def _zip_message(path: str, head: bytes) -> str:
    name_length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + name_length].decode("utf-8", "replace")
    if head.startswith(_EMPTY_ZIP):
        return f"{path} is a zip archive without files"
    if name == "[Content_Types].xml" or name.startswith(("xl/", "_rels/")):
        return f"{path} is an Excel workbook: save it as CSV in UTF-8"
    member, base = shlex.quote(name), shlex.quote(name.rpartition("/")[2] or "log")
    return (
        f"{path} is a zip archive: unpack it by `unzip -p {shlex.quote(path)} {member} "
        f"> {base}`"
    )


def _other_encoding(head: bytes) -> str | None:
    for mark, encoding in _ENCODINGS.items():
        if head.startswith(mark):
            return encoding
    # Text of the Latin alphabet has a zero in every second byte.
    half = len(head) // 2
    for first, encoding in ((0, "UTF-16BE"), (1, "UTF-16LE")):
        if half and head[first::2].count(0) > 0.8 * half:
            others = head[1 - first :: 2].count(0)
            return encoding if others < 0.2 * half else None
    return None

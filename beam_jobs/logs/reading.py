r"""Records of a log file, whole or by ranges of bytes.

A record is a line, which ends in "\n", "\r\n" or, in a file of that kind, "\r"; or
several lines where a quoted field holds line breaks; or a row of a Parquet file.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple, cast

from beam_jobs.logs import files, parquet
from beam_jobs.logs.files import InputError
from beam_jobs.logs.line_format import BLANKS, LineFormat
from beam_jobs.logs.quoting import ends_inside, field_quotes
from beam_jobs.storage.files import as_path

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16
"""A range that begins this early is read from the file's start, for its header."""


class UnclosedQuote(InputError):
    """A quoted field that no line can be told to belong to."""


class Record(NamedTuple):
    """A record of a log file.

    Attributes:
        offset: of its first byte in the unpacked file; of Parquet, the row's number
            from 0.
        number: of its first line, from 1; None where reading began inside the file.
        content: its bytes without the line's end.
    """

    offset: int
    number: int | None
    content: bytes


def read_records(
    path: str, line_format: LineFormat, start: int = 0, stop: int | None = None
) -> Iterator[Record]:
    """The records of a log, or those that begin in a range of its bytes.

    Neither the header nor blank lines are records. The ranges of a file give every
    record once, wherever they are cut. A line longer than `MAX_LINE_BYTES` comes out
    cut to one byte more than that.

    Args:
        path: the file.
        line_format: its format.
        start: first byte of the range; 0 where the format is not splittable.
        stop: the byte after the range's last, or None for the end of the file. A file
            that is not splittable is read to its end.

    Raises:
        InputError: naming a file that cannot be read or is damaged.
        UnclosedQuote: if a quoted field is not closed where the format says it is.
        ValueError: for a range of a file that is not splittable.
    """
    if start > 0 and not line_format.is_splittable:
        raise ValueError(f"`{path}` must be read from 0. Received: start={start}")
    with _errors_named(path), as_path(path).open("rb") as raw:
        if line_format.container == "parquet":
            yield from _rows(raw, line_format.fields)
            return
        if not line_format.is_splittable:
            stop = None
        stream = unpacked(raw, line_format.container)
        if line_format.is_multiline:
            records = _joined_lines(path, _lines(stream, line_format), line_format)
        else:
            records = _lines_from(stream, line_format, start)
        yield from _chosen(path, records, line_format, start, stop)


@contextlib.contextmanager
def _errors_named(path: str) -> Iterator[None]:
    try:
        yield
    except parquet.DamagedParquet as error:
        raise InputError(f"{path} is a damaged Parquet file: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read: {reason}") from error


def unpacked(raw: io.BufferedReader, container: str) -> io.BufferedReader:
    """The stream of an open file's content."""
    if container != "gzip":
        return raw
    # GzipFile is no RawIOBase by type, but has all that a BufferedReader calls.
    stream = cast(io.RawIOBase, gzip.GzipFile(fileobj=raw, mode="rb"))
    return io.BufferedReader(stream, _BLOCK_BYTES)


def _rows(stream: io.BufferedReader, fields: tuple[str, ...]) -> Iterator[Record]:
    for row, content in enumerate(parquet.rows_as_json(stream, fields)):
        yield Record(row, row + 1, content)


def _lines_from(
    stream: io.BufferedReader, line_format: LineFormat, start: int
) -> Iterator[Record]:
    if start <= _HEAD_BYTES:
        return _lines(stream, line_format)
    # The line that holds the byte before belongs to the range before.
    stream.seek(start - 1)
    lines = _lines(stream, line_format, start - 1, None)
    next(lines, None)
    return lines


def _lines(
    stream: io.BufferedReader,
    line_format: LineFormat,
    offset: int = 0,
    number: int | None = 1,
) -> Iterator[Record]:
    """All lines from a stream's position on, which has a given offset and number."""
    if line_format.line_end == "\r":
        pieces = _pieces_by_carriage_return(stream)
    else:
        pieces = _pieces_by_line_feed(stream)
    limit = files.MAX_LINE_BYTES + 1
    step = 0 if number is None else 1
    line_number = number or 0
    new = tuple.__new__  # a Record, in half the time
    for piece, num_bytes in pieces:
        content = piece.rstrip(b"\r\n")
        begin = offset
        if offset == 0 and content.startswith(BYTE_ORDER_MARK):
            begin = len(BYTE_ORDER_MARK)
            content = content[begin:]
        yield new(Record, (begin, number and line_number, content[:limit]))
        offset += num_bytes
        line_number += step


def _pieces_by_line_feed(stream: io.BufferedReader) -> Iterator[tuple[bytes, int]]:
    """Lines with their ends, long ones cut, and their lengths uncut."""
    limit = files.MAX_LINE_BYTES + 2
    readline = stream.readline
    while line := readline(limit):
        num_bytes = len(line)
        if num_bytes == limit and not line.endswith(b"\n"):
            num_bytes += _skipped_bytes(stream)
        yield line, num_bytes


def _skipped_bytes(stream: io.BufferedReader) -> int:
    """Reads up to the end of a line; the number of its bytes."""
    num_bytes = 0
    rest = b"-"
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(_BLOCK_BYTES)
        num_bytes += len(rest)
    return num_bytes


def _pieces_by_carriage_return(
    stream: io.BufferedReader,
) -> Iterator[tuple[bytes, int]]:
    r"""As `_pieces_by_line_feed`, with "\r" or "\r\n" as ends too."""
    rest = b""
    cut_bytes = 0
    while block := stream.read1(_BLOCK_BYTES):
        *whole, rest = (rest + block).splitlines(keepends=True)
        for piece in whole:
            yield piece, len(piece) + cut_bytes
            cut_bytes = 0
        if len(rest) > files.MAX_LINE_BYTES + 2:
            # The end stays, since "\r\n" may be divided between two blocks.
            cut_bytes += len(rest) - files.MAX_LINE_BYTES - 2
            rest = rest[: files.MAX_LINE_BYTES + 1] + rest[-1:]
    if rest:
        yield rest, len(rest) + cut_bytes


def _chosen(
    path: str,
    records: Iterator[Record],
    line_format: LineFormat,
    start: int,
    stop: int | None,
) -> Iterator[Record]:
    """The records of a range, without the header and blank lines."""
    is_header = line_format.has_header and start <= _HEAD_BYTES
    is_inline = line_format.shape == "delimited" and line_format.quotes == "inline"
    blanks = b" \t\v\f\r\n"
    if line_format.shape == "delimited" and line_format.delimiter != BLANKS:
        # Spreadsheets fill the rows below a table with delimiters.
        blanks += line_format.delimiter.encode()
    end = math.inf if stop is None else stop
    for record in records:
        offset, _, content = record
        if offset >= end:
            return
        if not content or (content[0] in blanks and not content.strip(blanks)):
            continue
        if is_header:
            is_header = False
        elif offset >= start:
            if is_inline and b'"' in content:
                _check_quotes(path, record, line_format.delimiter)
            yield record


def _check_quotes(path: str, record: Record, delimiter: str) -> None:
    is_whole = len(record.content) <= files.MAX_LINE_BYTES
    if is_whole and _ends_inside(record.content, delimiter):
        raise UnclosedQuote(_unclosed(path, record, "its line"))


def _ends_inside(content: bytes, delimiter: str) -> bool:
    return ends_inside(content.decode("latin-1"), delimiter)


def _joined_lines(
    path: str, lines: Iterator[Record], line_format: LineFormat
) -> Iterator[Record]:
    """Records of one or more lines, as the quotes of their fields say."""
    delimiter = line_format.delimiter
    for line in lines:
        is_open = b'"' in line.content and _ends_inside(line.content, delimiter)
        yield _joined(path, line, lines, delimiter) if is_open else line


def _joined(
    path: str, first: Record, lines: Iterator[Record], delimiter: str
) -> Record:
    """A record whose first line ends inside a quoted field."""
    contents = [first.content]
    num_bytes = len(first.content)
    for line in lines:
        text = line.content.decode("latin-1")
        contents.append(line.content)
        num_bytes += len(line.content)
        if num_bytes > files.MAX_LINE_BYTES:
            break
        if ends_inside(text, delimiter, inside=True):
            continue
        if not all(field_quotes(text, delimiter, inside=True)):
            # Two stray quotes of unquoted text would swallow the lines between them.
            break
        return first._replace(content=b"\n".join(contents))
    raise UnclosedQuote(_unclosed(path, first, "the lines that follow"))


def _unclosed(path: str, record: Record, where: str) -> str:
    line = "" if record.number is None else f", line {record.number}"
    text = record.content[:100].decode("utf-8", "replace")
    others = (
        "if they hold line breaks, give `--quotes multiline`, which reads the file "
        "whole in one worker; if"
        if where == "its line"
        else "mend the line, or if"
    )
    return (
        f"{path}: at byte {record.offset}{line}, a quoted field does not end on "
        f"{where}: {text!r}. Where quotes enclose fields: {others} quotes are "
        "characters like others, give `--quotes none`"
    )

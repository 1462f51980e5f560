"""Parquet files as lines of JSON, one a row, so that one set of rules reads both."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
"""First bytes of a Parquet file."""

_ROWS_AT_ONCE = 10_000


class DamagedParquet(ValueError):
    """A file that begins like Parquet and cannot be read as such."""


def rows_as_json(stream: BinaryIO, columns: tuple[str, ...]) -> Iterator[bytes]:
    """The rows of a file as JSON objects.

    Times become ISO 8601 texts, and bytes are taken for UTF-8.

    Args:
        stream: the open file.
        columns: names of the columns to read, as far as the file has them; none means
            all.

    Raises:
        DamagedParquet: if the file cannot be read.
    """
    try:
        file = pq.ParquetFile(stream)
        wanted = [name for name in file.schema_arrow.names if name in columns]
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=wanted or None)
        for batch in batches:
            for row in batch.to_pylist():
                yield orjson.dumps(row, default=_as_text)
    except (pa.ArrowException, OSError) as error:
        raise DamagedParquet(str(error)) from error


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)

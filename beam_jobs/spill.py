"""Action lines in files between parsing and grouping, one a source and bucket.

What a job shuffles lies on disk then, whatever the engine, and no worker holds more
than one bucket. A worker that is retried writes equal files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from beam_jobs.records import bucket_of
from beam_jobs.storage.files import new_file

BUCKET_BYTES = 8 << 20
"""Bytes of logs a bucket, as they lie on disk; compressed, some 500,000 actions."""

MAX_BUCKETS = 256
"""A source has a file open for every bucket that its users fall into."""


def num_buckets_for(num_bytes: int, num_shards: int) -> int:
    """The number of buckets, a multiple of the number of shards.

    Example: (100 MiB, 4) -> 16.

    Args:
        num_bytes: size of all logs and earlier actions.
        num_shards: shards that the buckets are to be joined to.
    """
    wanted = min(-(-num_bytes // BUCKET_BYTES), MAX_BUCKETS)
    return num_shards * max(1, -(-wanted // num_shards))


def spill(lines: Iterable[bytes], folder: Path, source: str, num_buckets: int) -> None:
    """Spreads action lines over files by their user's bucket.

    Args:
        lines: action lines without their ends.
        folder: of the spilled files of all sources.
        source: a name that no other source has.
        num_buckets: number of buckets.
    """
    streams: dict[int, BinaryIO] = {}
    with contextlib.ExitStack() as stack:
        for line in lines:
            bucket = bucket_of(line[: line.index(b"\t")], num_buckets)
            if bucket not in streams:
                path = _folder_of(folder, bucket) / source
                streams[bucket] = stack.enter_context(new_file(path))
            streams[bucket].write(line + b"\n")


def spilled(folder: Path, bucket: int) -> Iterator[bytes]:
    """The content of every file of a bucket: action lines with their ends."""
    bucket_folder = _folder_of(folder, bucket)
    if bucket_folder.is_dir():
        for path in sorted(bucket_folder.iterdir()):
            yield path.read_bytes()


def _folder_of(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:05d}"

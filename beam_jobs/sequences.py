"""An action as one line of bytes, `user TAB time TAB item`.

An id holds no control character and the time is padded with zeros, so the order of the
lines as bytes IS the order (user id, time, item id), equal lines are exact duplicates,
and TAB, LF and blank can divide records. Sorting, dropping duplicates and grouping are
then single operations on bytes, and what is shuffled is small.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from beam_jobs.logs.interactions import Interaction
from beam_jobs.splits import TIME_DIGITS, SplitPoints, tagged_time


class UserSequence(NamedTuple):
    """A user, the raw ids of their items, oldest first, and where they are divided."""

    user: bytes
    items: list[bytes]
    cuts: SplitPoints | None = None


def to_action_line(interaction: Interaction) -> bytes:
    r"""Interaction("u", "i", 7) -> b"u\t00000000000007\ti"."""
    user, item, timestamp_ms, _, split_number = interaction
    time = tagged_time(timestamp_ms, split_number)
    return f"{user}\t{str(time).zfill(TIME_DIGITS)}\t{item}".encode()


def parse_action_line(line: bytes) -> tuple[bytes, int, bytes]:
    """The user, the time as `tagged_time` made it, and the item of an action line."""
    user, time, item = line.split(b"\t")
    return user, int(time), item


def to_sequence_line(sequence: UserSequence) -> bytes:
    r"""UserSequence(b"u", [b"i", b"j"]) -> b"u\ti j"; the form `show` prints.

    Where the sequence is divided is appended, if it is.
    """
    line = sequence.user + b"\t" + b" ".join(sequence.items)
    return line if sequence.cuts is None else line + b"\t%d\t%d" % sequence.cuts


def parse_sequence_line(line: bytes) -> UserSequence:
    """The reverse of `to_sequence_line`; a line end is dropped."""
    user, items, *cuts = line.rstrip(b"\n").split(b"\t")
    return UserSequence(
        user, items.split(b" "), SplitPoints(*map(int, cuts)) if cuts else None
    )


def read_sequences(lines: Iterable[bytes]) -> Iterator[UserSequence]:
    """The sequences of an open file of sequence lines."""
    return map(parse_sequence_line, lines)


@functools.lru_cache(maxsize=1)  # the examples of a user follow each other
def bucket_of(user: bytes, num_buckets: int) -> int:
    """A user's bucket, the same in every process, run and version of Python."""
    return int.from_bytes(hashlib.sha256(user).digest()[:8], "big") % num_buckets

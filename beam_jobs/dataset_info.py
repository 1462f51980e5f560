"""Facts of the corpus that training only reads: above all, who is a head user."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.records import UserSequence, read_sequences
from beam_jobs.runner import RunPipeline
from beam_jobs.storage.files import as_path, new_file

HEAD_SHARE = 0.2
"""Share of users with the longest sequences that is head (S4Rec, section 5.1.1)."""


class HeadRule(NamedTuple):
    """Who is head: users longer than `min_length`, and of those that long the first.

    Attributes:
        num_users: head users.
        min_length: length of the shortest head user's full sequence; one more than the
            longest sequence if nobody is head.
        last_user: of the users exactly `min_length` long, the greatest id, as bytes,
            that is head.
    """

    num_users: int
    min_length: int
    last_user: bytes

    def is_head(self, sequence: UserSequence) -> bool:
        """Whether a user of the dataset is head."""
        length = len(sequence.items)
        if length != self.min_length:
            return length > self.min_length
        return sequence.user <= self.last_user


class HeadCut(NamedTuple):
    """Where the head ends: `num_tied` users of length `min_length` belong to it."""

    num_users: int
    min_length: int
    num_tied: int


def cut_head(lengths: Mapping[int, int], head_share: float = HEAD_SHARE) -> HeadCut:
    """The cut from the number of users per length.

    Example: {9: 1, 5: 3, 3: 6} -> HeadCut(2, 5, 1): two of ten users, the one of
    length 9 and the first of length 5.
    """
    num_head = round(head_share * sum(lengths.values()))
    left = num_head
    for length in sorted(lengths, reverse=True):
        if left <= lengths[length]:
            break
        left -= lengths[length]
    if num_head == 0:
        return HeadCut(0, max(lengths, default=0) + 1, 0)
    return HeadCut(num_head, length, left)


def users_of_length(path: str, length: int) -> Iterator[bytes]:
    """The users of a file of sequences whose sequence has a given length."""
    with as_path(path).open("rb") as stream:
        for sequence in read_sequences(stream):
            if len(sequence.items) == length:
                yield sequence.user


def wire_last_tied_user(
    pipeline: beam.Pipeline, sequences: list[Path], cut: HeadCut, path: Path
) -> None:
    """Wires the search for the last head user among the tied; written to `path`."""
    (
        pipeline
        | "Parts" >> beam.Create([str(path) for path in sequences])
        | "SpreadParts" >> beam.Reshuffle()
        | "TiedUsers" >> beam.FlatMap(users_of_length, cut.min_length)
        | "FirstTied" >> beam.combiners.Top.Smallest(cut.num_tied)
        | "WriteLast" >> beam.Map(_write_last, path)
    )


def _write_last(users: list[bytes], path: Path) -> None:
    with new_file(path) as stream:
        stream.write(max(users))


def find_head_rule(
    sequences: list[Path],
    lengths: Mapping[int, int],
    folder: Path,
    run_pipeline: RunPipeline,
) -> HeadRule:
    """The rule that makes exactly round(`HEAD_SHARE` * users) users head.

    Args:
        sequences: files of sequence lines.
        lengths: number of users per length.
        folder: for an intermediate file.
        run_pipeline: runs a pipeline.
    """
    cut = cut_head(lengths)
    if cut.num_users == 0:
        return HeadRule(0, cut.min_length, b"")
    path = folder / "last_head_user"
    run_pipeline(
        functools.partial(wire_last_tied_user, sequences=sequences, cut=cut, path=path)
    )
    return HeadRule(cut.num_users, cut.min_length, path.read_bytes())

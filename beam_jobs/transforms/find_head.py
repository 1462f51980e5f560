"""Who is a head user: exactly a share of all users, those of the longest sequences."""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from beam_jobs.sequences import UserSequence
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401

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


class HeadResult(NamedTuple):
    """Outputs of `FindHead`.

    Attributes:
        rule: a collection of one `HeadRule`.
        lengths: a collection of one dictionary, from length to number of users.
    """

    rule: beam.PCollection
    lengths: beam.PCollection


@dataclasses.dataclass(eq=False)
class FindHead(beam.PTransform):
    """Finds the users with the longest sequences; ties go by the user's id as bytes.

    Args:
        share: share of users that is head.
    """

    share: float = HEAD_SHARE

    def __post_init__(self) -> None:
        super().__init__()
        if not 0 <= self.share <= 1:
            raise ValueError(f"`share` must be from 0 to 1. Received: {self.share}")

    def expand(self, sequences: beam.PCollection) -> HeadResult:
        """A collection of `UserSequence` -> `HeadResult`."""
        lengths = (
            sequences
            | "Lengths" >> beam.ParDo(_CountLengths())
            | "Sum" >> beam.CombinePerKey(sum)
            | "Histogram" >> beam.combiners.ToDict()
        )
        cut = lengths | "Cut" >> beam.Map(cut_head, self.share)
        tied = sequences | "Tied" >> beam.ParDo(
            _FirstTied(), beam.pvalue.AsSingleton(cut)
        )
        rule = cut | "Rule" >> beam.Map(rule_of, beam.pvalue.AsList(tied))
        return HeadResult(rule, lengths)


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


def rule_of(cut: HeadCut, tied: list[bytes]) -> HeadRule:
    """The rule of a cut, from at least the first users that are tied."""
    first = heapq.nsmallest(cut.num_tied, tied)
    return HeadRule(cut.num_users, cut.min_length, max(first, default=b""))


class _CountLengths(beam.DoFn):
    def start_bundle(self) -> None:
        self._lengths: Counter[int] = Counter()

    def process(self, sequence: UserSequence) -> None:
        self._lengths[len(sequence.items)] += 1

    def finish_bundle(self) -> Iterator[object]:
        yield from map(GlobalWindows.windowed_value, self._lengths.items())


class _FirstTied(beam.DoFn):
    """Of a bundle's users that the cut ties, no more than can be head."""

    def start_bundle(self) -> None:
        self._users: list[bytes] = []
        self._needed = 0

    def process(self, sequence: UserSequence, cut: HeadCut) -> None:
        self._needed = cut.num_tied
        if len(sequence.items) == cut.min_length:
            self._users.append(sequence.user)

    def finish_bundle(self) -> Iterator[object]:
        first = heapq.nsmallest(self._needed, self._users)
        yield from map(GlobalWindows.windowed_value, first)

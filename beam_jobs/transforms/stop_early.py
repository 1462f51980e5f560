"""Passes nothing on where the logs are refused, so that the rest costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.defaults import MAX_BAD_SHARE
from beam_jobs.sequences import UserSequence
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401

TWINS = "twins"
"""Tag of ids that occur as `17850` and as `17850.0`; the former is given."""


MAX_EARLY_SHARE = 0.5


class StopRule(NamedTuple):
    """When the logs are refused, from the counts of reading them.

    Attributes:
        max_bad_share: greatest share of bad lines.
        min_lines: least number of lines, where there are any.
        max_early_share: greatest share of times before 1973-03-03, which are rather
            ratings, years, or a clock that begins with the log.
    """

    max_bad_share: float = MAX_BAD_SHARE
    min_lines: float = 0.0
    max_early_share: float = MAX_EARLY_SHARE

    def stops(self, counts: Mapping[str, int]) -> bool:
        """Whether the logs are refused."""
        lines = counts.get("lines", 0)
        return (
            counts.get("errors", 0) > 0
            or counts.get("bad", 0) > self.max_bad_share * lines
            or 0 < lines < self.min_lines
            or self.has_early_times(counts)
        )

    def has_early_times(self, counts: Mapping[str, int]) -> bool:
        """Whether too many times lie before any log of the web."""
        judged = counts.get("judged_times", 0)
        return counts.get("early_times", 0) > self.max_early_share * judged


@dataclasses.dataclass(eq=False)
class StopEarly(beam.PTransform):
    """Passes sequences on, or none if the counts say that the logs are refused.

    Outputs `sequences`, and `TWINS`: ids that some log writes as floating-point
    numbers and another does not.

    Args:
        rule: when the logs are refused.
        counts: a collection of summed counts of the reading.
        float_ids: ids that end in `.0`.
    """

    rule: StopRule
    counts: beam.PCollection
    float_ids: beam.PCollection

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, sequences: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """A collection of `UserSequence` -> its outputs by tag."""
        stops = (
            self.counts
            | "ToDict" >> beam.combiners.ToDict()
            | "Stops" >> beam.Map(self.rule.stops)
        )
        return sequences | "Pass" >> beam.ParDo(
            _Pass(),
            beam.pvalue.AsSingleton(stops),
            beam.pvalue.AsList(self.float_ids),
        ).with_output_types(UserSequence).with_outputs(TWINS, main="sequences")


class _Pass(beam.DoFn):
    def process(
        self, sequence: UserSequence, stops: bool, float_ids: Sequence[str]
    ) -> Iterator[object]:
        if stops:
            return
        if float_ids:
            without = {name.removesuffix(".0").encode() for name in float_ids}
            for name in without.intersection([sequence.user, *sequence.items]):
                yield beam.pvalue.TaggedOutput(TWINS, name.decode())
        yield sequence

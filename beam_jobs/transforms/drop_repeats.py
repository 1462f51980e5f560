"""Interactions of which each stands in one split alone."""

from __future__ import annotations

import dataclasses

import apache_beam as beam

from beam_jobs.logs.interactions import Interaction
from beam_jobs.transforms import coders as _registers_coders  # noqa: F401


@dataclasses.dataclass(eq=False)
class DropRepeats(beam.PTransform):
    """Leaves out what stands in an earlier split already: it is no target.

    For logs that say by their files what they are for.
    """

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, interactions: beam.PCollection) -> beam.PCollection:
        """A collection of `Interaction` -> those of the first split they stand in."""
        keyed = tuple[tuple[str, str, int], int]
        return (
            interactions
            | "Key" >> beam.Map(_key).with_output_types(keyed)
            | "FirstSplit" >> beam.CombinePerKey(min)
            | "Unkey" >> beam.Map(_unkey).with_output_types(Interaction)
        )


def _key(interaction: Interaction) -> tuple[tuple[str, str, int], int]:
    user, item, timestamp_ms, _, split_number = interaction
    return (user, item, timestamp_ms), split_number


def _unkey(element: tuple[tuple[str, str, int], int]) -> Interaction:
    (user, item, timestamp_ms), split_number = element
    return Interaction(user, item, timestamp_ms, None, split_number)

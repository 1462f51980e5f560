"""Coders of interactions and sequences: between workers they are lines of bytes.

Imported by every transform, since a collection's coder is chosen by its element type.
"""

from __future__ import annotations

import apache_beam as beam
from apache_beam.coders import coders

from beam_jobs.logs.interactions import Interaction
from beam_jobs.sequences import (
    UserSequence,
    parse_sequence_line,
    to_sequence_line,
)


class InteractionCoder(coders.Coder):
    """User, item, time, split and rating, divided by tabs."""

    def encode(self, value: Interaction) -> bytes:
        """One line, which no id can break: ids hold no control character."""
        return "\t".join(map(str, value)).encode()

    def decode(self, encoded: bytes) -> Interaction:
        """The reverse of `encode`."""
        user, item, time, rating, split = encoded.decode().split("\t")
        has_rating = rating != "None"
        return Interaction(
            user, item, int(time), float(rating) if has_rating else None, int(split)
        )

    def is_deterministic(self) -> bool:
        """Equal interactions have equal bytes."""
        return True


class UserSequenceCoder(coders.Coder):
    """The line that `beam_jobs.show` prints."""

    def encode(self, value: UserSequence) -> bytes:
        """See `to_sequence_line`."""
        return to_sequence_line(value)

    def decode(self, encoded: bytes) -> UserSequence:
        """See `parse_sequence_line`."""
        return parse_sequence_line(encoded)

    def is_deterministic(self) -> bool:
        """Equal sequences have equal bytes."""
        return True


beam.coders.registry.register_coder(Interaction, InteractionCoder)
beam.coders.registry.register_coder(UserSequence, UserSequenceCoder)

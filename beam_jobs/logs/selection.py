"""Which valid actions count."""

from __future__ import annotations

from typing import NamedTuple

from beam_jobs.logs.interactions import Interaction


class Selection(NamedTuple):
    """Which valid actions count.

    Attributes:
        since_ms: first millisecond, inclusive, or None.
        until_ms: last millisecond, exclusive, or None.
        min_rating: least rating, or None.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    min_rating: float | None = None

    def admits(self, interaction: Interaction) -> bool:
        """Whether an action is selected."""
        if self.since_ms is not None and interaction.timestamp_ms < self.since_ms:
            return False
        if self.until_ms is not None and interaction.timestamp_ms >= self.until_ms:
            return False
        if self.min_rating is None:
            return True
        return interaction.rating is not None and interaction.rating >= self.min_rating

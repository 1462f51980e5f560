"""Settings of an operator, for every day."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

STEPS = (
    *("prepare", "validate", "train", "evaluate"),
    *("bless", "export", "infra_validate", "push"),
)
"""Steps of a day, in their order."""

OWN_FLAGS = {
    "prepare": (
        *("--input", "--output", "--previous", "--previous_statistics"),
        *("--item_ids_from", "--split", "--valid_from", "--test_from", "--allow"),
    ),
    "train": ("--dataset", "--run_dir", "--warm_start"),
    "export": ("--dataset", "--run_dir", "--export_dir"),
}
"""Flags of the stages' commands that a day sets itself."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a day.

    Attributes:
        prepare: further flags of the data job.
        train: further flags of the training.
        export: further flags of the export.
        day: the date whose actions are the test; None leaves each user's last two out.
        allow_drift: whether drift is reported and lets the day through.
        max_drop: share by which all users' metrics may fall.
        max_slice_drop: share by which those of a slice may fall.
        min_users: fewest users of a slice that is judged.
        keep: number of versions that stay.
        until: the last step that is run.
    """

    prepare: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    day: date | None = None
    allow_drift: bool = False
    max_drop: float = 0.05
    max_slice_drop: float = 0.1
    min_users: int = 100
    keep: int = 3
    until: str = STEPS[-1]

    def split_flags(self) -> tuple[str, ...]:
        """Flags of the dataset's split."""
        if self.day is None:
            return ()
        before = self.day - timedelta(days=1)
        moments = "--valid_from", str(before), "--test_from", str(self.day)
        return "--split", "global_time", *moments

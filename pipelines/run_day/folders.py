"""Folders under `--base`: days, each with the results of its steps, and versions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from s4rec_tf import spec


@dataclasses.dataclass(frozen=True)
class Day:
    """The folder of one day's run.

    Attributes:
        root: BASE/days/NUMBER.
    """

    root: Path

    @property
    def number(self) -> int:
        """Counted from 1, in order of planning."""
        return int(self.root.name)

    @property
    def plan(self) -> Path:
        """`plan.json`: the day's logs with their digests, and the day gone on from."""
        return self.root / "plan.json"

    @property
    def outcome(self) -> Path:
        """`outcome.json`: pushed, refused or failed, and why."""
        return self.root / "outcome.json"

    @property
    def increment(self) -> Path:
        """A dataset of the day's logs alone, users and items below the core in it."""
        return self.root / "increment"

    @property
    def dataset(self) -> Path:
        """The dataset of all days in service and this one."""
        return self.root / "dataset"

    @property
    def drift(self) -> Path:
        """`drift.json`: distances of the increment from the one before."""
        return self.root / "drift.json"

    @property
    def run(self) -> Path:
        """The candidate's run folder."""
        return self.root / "run"

    @property
    def floor(self) -> Path:
        """The run folder of the popularity model, where no version is in service."""
        return self.root / "floor"

    @property
    def baseline(self) -> Path:
        """The evaluation of what the candidate is compared with."""
        return self.root / "baseline"

    @property
    def blessing(self) -> Path:
        """`blessing.json`: every comparison, and the refusals."""
        return self.root / "blessing.json"

    @property
    def export(self) -> Path:
        """The candidate's export, before it is served."""
        return self.root / "export"

    @property
    def infra(self) -> Path:
        """`infra.json`: how a server of the export answered."""
        return self.root / "infra.json"

    def bulk(self) -> list[Path]:
        """Folders that only the next day or a rollback reads."""
        runs = [self.run, self.floor, self.baseline]
        return [self.increment, self.dataset, *runs, self.export]

    def read_plan(self) -> dict[str, Any]:
        """The plan."""
        return read_json(self.plan)

    def read_outcome(self) -> dict[str, Any]:
        """The outcome; empty if the day is not finished."""
        return read_json(self.outcome) if self.outcome.is_file() else {}


@dataclasses.dataclass(frozen=True)
class Base:
    """The folder of `--base`.

    Attributes:
        root: the folder.
        name: the served model's name.
    """

    root: Path
    name: str

    @property
    def served(self) -> Path:
        """The base path that servers watch, with a folder for every version."""
        return self.root / "serving" / self.name

    def day(self, number: int) -> Day:
        """The folder of a day."""
        return Day(self.root / "days" / f"{number:06d}")

    def days(self) -> list[Day]:
        """All planned days, in their order."""
        folder = self.root / "days"
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [Day(path) for path in found if (path / "plan.json").is_file()]


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def digest(path: Path) -> str | None:
    """Hex sha256 of a file; None if there is none."""
    return spec.sha256_of_file(path) if path.is_file() else None

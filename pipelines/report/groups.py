"""Ledger lines brought together over seeds."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.experiments import ledger
from pipelines.experiments.queue_files import MAIN

SELECTION = "NDCG@20"
"""The validation metric that chooses among settings."""

NONE = "-"


@dataclasses.dataclass(frozen=True)
class Group:
    """Finished runs that differ by seed alone.

    Attributes:
        entries: their ledger lines, by seed.
    """

    entries: tuple[dict[str, Any], ...]

    def __getattr__(self, name: str) -> Any:
        if name not in ledger.IDENTITY:
            raise AttributeError(name)
        return self.entries[0][name]

    @property
    def label(self) -> str:
        """Configuration and overrides."""
        settings = [f"{key}={value}" for key, value in self.settings.items()]
        return " ".join([self.config, *settings])

    @property
    def seeds(self) -> list[int]:
        """Seeds, ascending."""
        return [entry["seed"] for entry in self.entries]

    def values(self, metric: str, split: str = "test") -> list[float]:
        """A metric of every seed; empty if the group of users is empty."""
        found = [entry[split].get(metric) for entry in self.entries]
        return [value for value in found if value is not None]

    def mean(self, metric: str, split: str = "test") -> float | None:
        """Mean over seeds; None if there is no value."""
        values = self.values(metric, split)
        return statistics.fmean(values) if values else None

    def numbers(self, field: str) -> list[float]:
        """A field of every seed, `epochs` or `minutes`."""
        return [entry[field] for entry in self.entries]

    def finding(self, name: str) -> list[float]:
        """A finding of the probe of every seed; empty if it was not looked for."""
        found = [entry["analysis"].get(name) for entry in self.entries]
        return [value for value in found if value is not None]

    def ranks(self, ledger_path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Test ranks kept beside the ledger.

        Returns:
            ranks int64 [seeds, N] and is_head bool [N]; None unless every seed's are
            there.
        """
        files = [ledger.ranks_file(ledger_path, entry) for entry in self.entries]
        if not all(file.is_file() for file in files):
            return None
        ranks = []
        for file in files:
            with np.load(file, allow_pickle=False) as stored:
                ranks.append(stored["ranks"].astype(np.int64))
                is_head = stored["is_head"]
        return np.stack(ranks), is_head

    def embedding_map(self, ledger_path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """The first seed's map that is kept beside the ledger.

        Returns:
            places float32 [n, 2] and is_head bool [n]; None if no seed has one.
        """
        for entry in self.entries:
            file = ledger.ranks_file(ledger_path, entry)
            if not file.is_file():
                continue
            with np.load(file, allow_pickle=False) as stored:
                if "map_places" in stored:
                    return stored["map_places"], stored["map_is_head"]
        return None


def groups_of(entries: Iterable[dict[str, Any]]) -> list[Group]:
    """The groups of some ledger lines: main runs first, then best validation first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        settings = {name: _by_value(value) for name, value in entry["settings"].items()}
        key = ledger.identity({**entry, "settings": settings, "seed": None})
        found.setdefault(key, []).append(entry)
    by_seed = [sorted(lines, key=lambda line: line["seed"]) for lines in found.values()]
    return sorted(map(Group, map(tuple, by_seed)), key=_order)


def _by_value(setting: Any) -> Any:
    """A setting in which 0 and 0.0, as queues may write them, are one."""
    is_whole = isinstance(setting, int) and not isinstance(setting, bool)
    return float(setting) if is_whole else setting


def _order(group: Group) -> tuple[bool, str, float, str]:
    variant = "" if group.variant == MAIN else group.variant
    return (
        group.variant != MAIN,
        variant,
        -_validation(group),
        json.dumps(group.settings),
    )


def best(groups: Sequence[Group], model: str, variant: str = MAIN) -> Group | None:
    """A model's group with the best mean validation NDCG@20; None if it has none."""
    fitting = [g for g in groups if g.model == model and g.variant == variant]
    return max(fitting, key=_validation, default=None)


def _validation(group: Group) -> float:
    return group.mean(SELECTION, "valid") or 0.0


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Mean and, from two values on, sample standard deviation."""
    if not values:
        return NONE
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"

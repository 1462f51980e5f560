"""Facts of run folders, and the copies of them beside the ledger."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.experiments.queue_files import Run
from s4rec_tf.atomic_files import replaced, write_json

START_NAME = "experiment.json"
"""The note of a run folder: its experiment, and the versions of the code."""


def note_start(run_dir: Path, identity: Mapping[str, Any], version: str) -> None:
    """Notes in the run folder what is about to run, and by which code."""
    path = run_dir / START_NAME
    versions = _read_json(path).get("code_versions", [])
    if version in versions:
        return
    note = {**identity, "code_versions": [*versions, version]}
    write_json(path, note)


def training_totals(run_dir: Path) -> dict[str, Any]:
    """The fields `epochs`, `minutes` and `code_version` of the ledger.

    The log of epochs is whole over resumptions: an epoch that was cut off is trained
    again, and its line comes once.
    """
    lines = _epochs(run_dir)
    seconds = sum(line["train_seconds"] for line in lines)
    return {
        "epochs": len(lines),
        "minutes": round(seconds / 60, 2),
        "code_version": ", ".join(_read_json(run_dir / START_NAME)["code_versions"]),
    }


def epoch_seconds(run_dir: Path, run: Run, work: Path) -> float | None:
    """Seconds of an epoch: by the run's own log, or by like runs'; None if unknown.

    Runs of the same dataset, model and configuration are alike; if there is none, those
    of the same dataset and model. Of several, the slowest counts.
    """
    if own := _typical_seconds(run_dir):
        return own
    started = [(path.parent, _read_json(path)) for path in work.glob(f"*/{START_NAME}")]
    for fields in (("dataset", "model", "config"), ("dataset", "model")):
        alike = [
            _typical_seconds(folder)
            for folder, note in started
            if all(note.get(name) == getattr(run, name) for name in fields)
        ]
        if known := [seconds for seconds in alike if seconds]:
            return max(known)
    return None


class EpochLines:
    """Tells which epochs have been logged since the last look."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.seen = len(_epochs(run_dir))

    def new(self) -> list[str]:
        """A line of text for each new epoch."""
        entries = _epochs(self.run_dir)
        # A resumed training forgets the epoch that it did not finish.
        new = entries[min(self.seen, len(entries)) :]
        self.seen = len(entries)
        return [_told(entry) for entry in new]


def _told(entry: dict[str, Any]) -> str:
    """An epoch in words; those of early stages are not validated."""
    value = entry.get("val_NDCG@20")
    found = "an early stage" if value is None else f"validation NDCG@20 {value:.4f}"
    return f"epoch {entry['epoch']}: {found}, {entry['train_seconds']:.0f} s"


def copy_ranks(evaluation: Path, target: Path, config: Mapping[str, Any]) -> None:
    """Keeps a run's test ranks, and with them its configuration and its map, if any.

    Args:
        evaluation: the folder `evaluation` of the run folder.
        target: the file beside the ledger.
        config: all settings of the run, flat.
    """
    kept = {"config": np.asarray(json.dumps(config))}
    for name, prefix in (("test_ranks", ""), ("embedding_map", "map_")):
        path = evaluation / f"{name}.npz"
        if prefix and not path.is_file():
            continue  # Runs without TensorFlow draw no map.
        with np.load(path) as stored:
            kept |= {prefix + key: value for key, value in stored.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target) as stream:
        np.savez_compressed(stream, **kept)


def config_of_ranks(path: Path) -> dict[str, Any]:
    """The configuration kept with a run's ranks; empty if there are none."""
    from s4rec_tf.runs.config import current_names

    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return current_names(json.loads(str(stored["config"])))


def _epochs(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of the log of epochs; one that is still being written is left out."""
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def _typical_seconds(run_dir: Path) -> float | None:
    seconds = [line["train_seconds"] for line in _epochs(run_dir)]
    return statistics.median(seconds) if seconds else None


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}

"""Lineage of a version, and the end of a day."""

from __future__ import annotations

from typing import Any

from pipelines.experiments.provenance import code_version
from pipelines.run_day import versions
from pipelines.run_day.folders import Base, Day, digest, read_json
from pipelines.run_day.settings import Settings
from s4rec_tf.atomic_files import write_json
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.spec import DatasetDir


def of_day(base: Base, day: Day, settings: Settings) -> dict[str, Any]:
    """Lineage of a day's version: logs, code, data, training, comparison.

    Args:
        base: the base folder.
        day: a day whose candidate is blessed.
        settings: by which it was made.
    """
    before, run = versions.in_service(base), RunDir(day.run)
    plan, manifest = day.read_plan(), run.read_manifest()
    return {
        "day": day.number,
        "logs": plan["logs"],
        "previous_day": plan["previous"],
        "previous_version": None if before is None else before.number,
        "code": code_version(),
        "dataset": {
            "fingerprint": DatasetDir(day.dataset).fingerprint(),
            "flags": [*settings.prepare, *settings.split_flags()],
        },
        "training": {
            "flags": list(settings.train),
            "seed": manifest["seed"],
            "warm_start": manifest["warm_start"],
            "weights": digest(run.best),
            "configuration": read_json(run.config),
        },
        "export_flags": list(settings.export),
        "blessing": read_json(day.blessing),
    }


def write_outcome(day: Day, outcome: str, step: str, reason: str) -> None:
    """Writes how a day ended: pushed, refused or failed, at which step and why."""
    write_json(day.outcome, {"outcome": outcome, "step": step, "reason": reason})

"""Makes the experiments' dataset folders from the public logs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pipelines.experiments.runner import say
from pipelines.processes import bound_child

LOGS = {
    "beauty": ("amazon", "reviews_Beauty_5*.json.gz"),
    "sports": ("amazon", "reviews_Sports_and_Outdoors_5*.json.gz"),
    "toys": ("amazon", "reviews_Toys_and_Games_5*.json.gz"),
    # The full order of all users; the raw log's ties would be broken otherwise.
    "ml1m": ("sequences", "ml-1m-sequences.txt.gz"),
}
"""Format and file of each dataset's log, as the data job takes them."""


def prepare(
    names: Iterable[str], data: Path, logs: Path, deadline: float = float("inf")
) -> None:
    """Builds the dataset folders that are missing.

    Args:
        names: datasets, keys of `LOGS`.
        data: folder of the dataset folders.
        logs: folder of the logs.
        deadline: when it is stopped, seconds of `time.monotonic`.

    Raises:
        ValueError: if a log is missing or there are several, or the data job
            fails or is not done by the deadline.
    """
    missing = [name for name in names if not (data / name).exists()]
    found = {name: _log_file(name, logs) for name in missing}
    for name, log in found.items():
        data.mkdir(parents=True, exist_ok=True)
        command = ["--input", str(log), "--format", LOGS[name][0]]
        command += ["--output", str(data / name)]
        say(f"python -m beam_jobs.prepare_dataset {' '.join(command)}")
        job = [sys.executable, "-m", "beam_jobs.prepare_dataset", *command]
        left = deadline - time.monotonic()
        with bound_child(job) as process:
            try:
                code = process.wait(None if left == float("inf") else max(left, 0))
            except subprocess.TimeoutExpired:
                raise ValueError(f"no time is left to make dataset {name}") from None
        if code:
            raise ValueError(f"the data job of {name} failed with exit code {code}")


def _log_file(name: str, logs: Path) -> Path:
    pattern = LOGS[name][1]
    found = sorted(logs.glob(pattern))
    if len(found) != 1:
        raise ValueError(
            f"--prepare must name a folder with one file {pattern} for {name}. "
            f"Received: {logs} with {[path.name for path in found]}"
        )
    return found[0]

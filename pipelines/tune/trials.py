"""One trial: a training as a command of its own, watched epoch by epoch."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import Trial, TrialState

from pipelines.processes import QUIET, bound_child
from s4rec_tf.atomic_files import write_bytes

METRIC = "val_NDCG@20"
PYTHON_MODULE = (sys.executable, "-m")


class OutOfTime(Exception):
    """The deadline has come while a trial was training."""


class TrialFailed(Exception):
    """A training that ended with another exit code than 0."""


@dataclasses.dataclass(frozen=True)
class TrialRunner:
    """Trains trials by `s4rec_tf.train`.

    Attributes:
        dataset: the dataset folder.
        settings: the configuration that a trial's settings override, flat.
        deadline: when all must have ended, seconds of `time.monotonic`.
        command: words that a module's name is appended to.
        poll: seconds between looks at a training.
    """

    dataset: Path
    settings: Mapping[str, Any]
    deadline: float = float("inf")
    command: Sequence[str] = PYTHON_MODULE
    poll: float = 1.0

    def run(self, trial: Trial, folder: Path) -> str:
        """Trains a trial to its end and reports its value; returns the outcome.

        Raises:
            OutOfTime: if the deadline came first.
            TrialFailed: after the report to the study.
        """
        try:
            best = max(self._values(trial, folder), default=None)
        except optuna.TrialPruned as reason:
            trial.study.tell(trial, state=TrialState.PRUNED)
            return str(reason)
        except TrialFailed:
            trial.study.tell(trial, state=TrialState.FAIL)
            raise
        if best is None:
            trial.study.tell(trial, state=TrialState.FAIL)
            raise TrialFailed(f"{folder} holds a training without a validated epoch")
        trial.study.tell(trial, best)
        return f"validation NDCG@20 {best:.4f}"

    def _values(self, trial: Trial, folder: Path) -> Iterator[float]:
        """Validation's values as they come; ends the training if one is too low."""
        for epoch, value in self._train(trial, folder):
            trial.report(value, epoch)
            yield value
            if trial.should_prune():
                raise optuna.TrialPruned(
                    f"pruned at validation NDCG@20 {value:.4f} in epoch {epoch}"
                )

    def _train(self, trial: Trial, folder: Path) -> Iterator[tuple[int, float]]:
        config, log = folder / "settings.yaml", folder / "train.log"
        text = yaml.safe_dump({**self.settings, **trial.params}, sort_keys=False)
        write_bytes(config, text.encode())
        run_dir = folder / "run"
        place = ("--dataset", str(self.dataset), "--run_dir", str(run_dir))
        command = [*self.command, "s4rec_tf.train", *place, "--config", str(config)]
        env = {**QUIET, **os.environ}
        epochs = _Epochs(run_dir / "metrics.jsonl")
        with log.open("ab") as stream, bound_child(command, env, stream) as process:
            while process.poll() is None:
                if time.monotonic() > self.deadline:
                    raise OutOfTime
                yield from epochs.new()
                time.sleep(self.poll)
        if process.returncode:
            raise TrialFailed(
                f"{folder.name} failed with exit code {process.returncode}: see {log}"
            )
        yield from epochs.new()


class _Epochs:
    """The validated epochs of a run's log that are new since the last look."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, 0

    def new(self) -> list[tuple[int, float]]:
        """Epoch and value; a line that is still being written is left for later."""
        if not self.path.is_file():
            return []
        lines = [
            json.loads(line) for line in self.path.read_text("utf-8").split("\n")[:-1]
        ]
        new = [line for line in lines if METRIC in line and line["epoch"] > self.seen]
        self.seen = max([self.seen, *(int(line["epoch"]) for line in new)])
        return [(int(line["epoch"]), float(line[METRIC])) for line in new]

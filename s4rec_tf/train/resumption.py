"""The state that a run resumes from: written, found again, and its log cut to it."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from s4rec_tf.atomic_files import write_bytes
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.keeping import WITHIN_EPOCH, Place


@dataclasses.dataclass
class Progress:
    """Progress of a run; stored with its last checkpoint.

    Attributes:
        epochs_done: whole epochs behind.
        best_value: best validation NDCG@20 so far.
        best_epoch: the epoch it came from, counted from 1; 0 before the first of the
            last stage.
    """

    epochs_done: int = 0
    best_value: float = -1.0
    best_epoch: int = 0

    def is_over(self, patience: int) -> bool:
        """Whether the best epoch lies `patience` epochs back."""
        return bool(self.best_epoch) and self.epochs_done - self.best_epoch >= patience


def training_variables(model: SequenceRecommender) -> list[Any]:
    """Weights, states of the random generators, and the optimizer's slots."""
    seeds = [
        variable for variable in model.variables if "seed_generator" in variable.path
    ]
    known = {id(variable) for variable in model.weights}
    generators = [variable for variable in seeds if id(variable) not in known]
    return [*model.weights, *generators, *model.optimizer.variables]


def write_last(
    run: RunDir,
    model: SequenceRecommender,
    progress: Progress,
    within_epoch: dict[str, Any] | None = None,
    is_chief: bool = True,
) -> None:
    """Writes the state from which the run resumes, and keeps the one before.

    Args:
        run: the run folder.
        model: the model that trains.
        progress: of the run, by whole epochs.
        within_epoch: a `Place` in the next epoch; None at its beginning.
        is_chief: whether this process is the one that writes.
    """
    state = dataclasses.asdict(progress)
    if within_epoch is not None:
        state[WITHIN_EPOCH] = within_epoch
    if is_chief:
        variables = training_variables(model)
        checkpoints.write_newest(run.last, run.before_last, variables, state)
        run.publish()


def find_state(
    run: RunDir, model: SequenceRecommender, is_chief: bool = True
) -> tuple[Progress, Place]:
    """Restores the newest state that is whole; that of a new run if there is none.

    Args:
        run: the run folder.
        model: compiled; receives the state.
        is_chief: whether to remove a damaged file, which must not push out a whole one.

    Raises:
        checkpoints.CheckpointError: if states are there, but none fits or is whole.
    """
    variables = training_variables(model)
    paths = [path for path in (run.last, run.before_last) if path.is_file()]
    for path in paths:
        try:
            state = checkpoints.read_checkpoint(path, variables)
        except checkpoints.DamagedCheckpoint as error:
            if path == paths[-1]:
                raise
            print(f"warning: {error}; the state before is used", file=sys.stderr)
            if is_chief:
                path.unlink()
            continue
        place = Place(**state.pop(WITHIN_EPOCH, {}))
        progress = Progress(**state)
        within = f", step {place.step} of the next" if place.step else ""
        print(f"resuming {run.root} after epoch {progress.epochs_done}{within}")
        return progress, place
    return Progress(), Place()


def forget_unfinished_epochs(run: RunDir, progress: Progress) -> None:
    """Drops the log lines of epochs that a resumed run will train again."""
    if not run.metrics.is_file():
        return
    lines = run.metrics.read_text("utf-8").splitlines(keepends=True)
    kept = lines[: progress.epochs_done]
    if kept != lines:
        write_bytes(run.metrics, "".join(kept).encode())

"""Refit: the chosen number of epochs once more, on all data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data import records
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.restore import build_model
from s4rec_tf.runs.run_dir import RunDir, RunError
from s4rec_tf.train.keeping import WITHIN_EPOCH, Keeping, Place, StepEnds
from s4rec_tf.train.optimizers import averaged_weights
from s4rec_tf.train.resumption import training_variables
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer
from s4rec_tf.train.trainer import Logs


def refit(run_dir: Path, dataset: spec.DatasetDir) -> SequenceRecommender:
    """Trains a finished run's chosen number of epochs on all data.

    Validation and test items are trained on too, so nothing can be measured on the
    result; it is the model to be served. A second call finds the first's result, and an
    interrupted one resumes.

    Args:
        run_dir: folder of a finished run.
        dataset: dataset folder of the run.

    Returns:
        a model of the run's settings with the new weights.

    Raises:
        RunError: if the run is not finished.
        spec.DatasetError: if the dataset is unfinished or damaged.
    """
    run = RunDir(run_dir)
    if not run.is_finished():
        raise RunError(f"{run.root} must be finished before a refit")
    config = run.read_config()
    run.check_dataset(dataset.fingerprint())
    epochs = checkpoints.read_state(run.best)["best_epoch"]
    trainer = TensorFlowTrainer(config, dataset.info(), _with_targets(dataset))
    state: dict[str, Any] = {"epochs_done": 0}
    if run.refit.is_file():
        variables = training_variables(trainer.model)
        state = checkpoints.read_checkpoint(run.refit, variables)
    place, done = Place(**state.get(WITHIN_EPOCH, {})), state["epochs_done"]

    def write(within: dict[str, Any] | None) -> None:
        variables = training_variables(trainer.model)
        state = {"epochs_done": done} | ({WITHIN_EPOCH: within} if within else {})
        checkpoints.write_checkpoint(run.refit, variables, state)
        run.publish()

    def end_epoch(logs: Logs, seconds: float) -> bool:
        nonlocal done
        done += 1
        write(None)
        return False

    if trainer.samples is not None and done < epochs:
        print(f"refit on all data: epochs {done + 1} to {epochs}", file=sys.stderr)
        ends = StepEnds(trainer, write, Keeping(), place)
        trainer.train(done, epochs, end_epoch, ends)
    model = build_model(config, dataset.info())
    with averaged_weights(trainer.model):
        for weight, trained in zip(model.weights, trainer.model.weights, strict=True):
            weight.assign(trained)
    return model


def _with_targets(dataset: spec.DatasetDir) -> Sequences:
    """Every user's full sequence: that of their last split, and its target."""
    users: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    flags: list[np.ndarray] = []
    for split in reversed(spec.SPLITS):
        sequences = records.read_split(dataset, split)
        known = np.concatenate(users) if users else sequences.user_ids[:0]
        rows = np.flatnonzero(~np.isin(sequences.user_ids, known))
        users.append(sequences.user_ids[rows])
        flags.append(sequences.is_head[rows])
        for row in rows:
            target = sequences.target_ids[row : row + 1]
            parts.append(np.append(sequences.items(row), target[target > 0]))
    lengths = np.asarray([len(part) for part in parts], np.int32)
    return Sequences(
        user_ids=np.concatenate(users),
        values=np.concatenate(parts).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        target_ids=np.zeros(len(parts), np.int32),
        is_head=np.concatenate(flags),
        sequence_lengths=lengths,
    )

"""Trains any registered model on a dataset folder; names none of them."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data import batches, records
from s4rec_tf.data.samples import Samples, global_batch_size, training_samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.config import ExperimentConfig
from s4rec_tf.runs.restore import build_model
from s4rec_tf.runs.run_dir import RunDir, RunError
from s4rec_tf.train.setup import build_for_training, training_sequences
from s4rec_tf.train.stages import begin_stages
from s4rec_tf.train.tensorflow import strategies
from s4rec_tf.train.validation import (
    EpochEnd,
    FitCallback,
    Progress,
    forget_unfinished_epochs,
    training_variables,
)
from s4rec_tf.train.warm_start import source_digest, start_from


def train(
    config: ExperimentConfig,
    dataset: spec.DatasetDir,
    run_dir: Path,
    strategy: tf.distribute.Strategy | None = None,
    warm_start: Path | None = None,
) -> Progress:
    """Trains a run, or goes on with it, or finds it finished.

    Args:
        config: the resolved configuration.
        dataset: a finished dataset folder.
        run_dir: the run folder; created if missing.
        strategy: over which devices; one device if None.
        warm_start: run folder whose best weights a new run starts from.

    Returns:
        where the run stands at the end.

    Raises:
        RunError: if the folder holds another run or another process trains in it.
        spec.DatasetError: if the dataset is unfinished or damaged.
        ValueError: if the dataset gives no training sample.
    """
    strategy = strategy or tf.distribute.get_strategy()
    run = RunDir(run_dir)
    records.verify(dataset)
    if not strategies.is_chief(strategy):
        # The chief of a finished run trains no more, so nobody else may wait for it.
        if run.is_finished():
            return Progress(**checkpoints.read_state(run.best))
        return _train(config, dataset, run, strategy, warm_start)
    digest = None if warm_start is None else source_digest(warm_start)
    with run.lock():
        run.begin(config, dataset, digest)
        if run.is_finished():
            outcome = run.read_manifest()
            print(
                f"{run.root} is finished: best validation NDCG@20 "
                f"{outcome['best_value']:.4f} in epoch {outcome['best_epoch']}"
            )
            return Progress(**checkpoints.read_state(run.best))
        return _train(config, dataset, run, strategy, warm_start)


def refit(run_dir: Path, dataset: spec.DatasetDir) -> SequenceRecommender:
    """Trains a finished run's chosen number of epochs on all data.

    Validation and test items are learned from too, so nothing can be measured on the
    result; it is what should answer requests. A second call finds the first's result,
    and one that was interrupted goes on where it was.

    Raises:
        RunError: if the run is not finished.
    """
    run = RunDir(run_dir)
    if not run.is_finished():
        raise RunError(f"{run.root} must be finished before a refit")
    config = run.read_config()
    run.check_dataset(dataset.fingerprint())
    epochs = checkpoints.read_state(run.best)["best_epoch"]
    sequences = _with_targets(dataset)
    session = Session.create(
        config, dataset.info(), sequences, tf.distribute.get_strategy()
    )
    done = 0
    if run.refit.is_file():
        done = checkpoints.read_checkpoint(
            run.refit, training_variables(session.model)
        )["epochs_done"]
    if session.has_gradient and done < epochs:
        print(f"refit on all data: epochs {done + 1} to {epochs}", file=sys.stderr)
        session.fit(done, epochs, [_KeepRefit(run)])
    model = build_model(config, dataset.info())
    for weight, trained in zip(model.weights, session.model.weights, strict=True):
        weight.assign(trained)
    return model


class _KeepRefit(keras.callbacks.Callback):
    """Leaves a state after every epoch of a refit."""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        variables = training_variables(self.model)
        state = {"epochs_done": epoch + 1}
        checkpoints.write_checkpoint(self.run.refit, variables, state)


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


@dataclasses.dataclass
class Session:
    """A compiled model beside the samples that it trains on."""

    config: ExperimentConfig
    strategy: tf.distribute.Strategy
    model: SequenceRecommender
    sequences: Sequences
    num_items: int
    samples: Samples | None
    batch_size: int

    @classmethod
    def create(
        cls,
        config: ExperimentConfig,
        info: spec.DatasetInfo,
        sequences: Sequences,
        strategy: tf.distribute.Strategy,
    ) -> Session:
        """Builds the model and cuts the samples.

        Args:
            config: of the run.
            info: facts of the dataset.
            sequences: the train split.
            strategy: over which devices.
        """
        with strategy.scope():
            model = build_for_training(
                config, info, sequences, strategy.num_replicas_in_sync
            )
        samples, batch_size = None, 0
        if model.trainable_variables:
            samples = training_samples(sequences, config.data.samples, model.max_length)
            batch_size = global_batch_size(
                config.train.batch_size, len(samples), strategy.num_replicas_in_sync
            )
        return cls(
            config, strategy, model, sequences, info.num_items, samples, batch_size
        )

    @property
    def has_gradient(self) -> bool:
        """Whether there is anything to be learned by gradient."""
        return self.samples is not None

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.samples or ()) // max(self.batch_size, 1)

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Endless global batches from an epoch on."""
        assert self.samples is not None
        dataset = batches.training_batches(
            self.sequences,
            self.samples,
            self.model.batch_needs(),
            self.config.data,
            self.num_items,
            self.batch_size,
            self.config.train.seed,
            first_epoch,
        )
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.with_options(options)

    def begin_epoch(self, epoch: int) -> None:
        """Lets the model refresh what it refreshes once an epoch."""
        self.model.begin_epoch(
            lambda: encoding.embed_users(self.model, self.sequences),
            np.random.default_rng([self.config.train.seed, epoch]),
        )

    def stages(self, first: int, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Begins stage after stage, as `begin_stages` does."""
        train, scope = self.config.train, self.strategy.scope
        return begin_stages(self.model, train, self.steps, first, last, scope)

    def fit(self, first: int, last: int | None, callbacks: list[Any]) -> None:
        """Trains epochs `first` to `last` (excluded), or all, by Keras' `fit`."""
        for start, end in self.stages(first, last):
            self.model.fit(
                self.batches(start),
                initial_epoch=start,
                epochs=end,
                steps_per_epoch=self.steps,
                callbacks=[*callbacks, _BeginEpoch(self)],
                verbose=1 if sys.stdout.isatty() else 2,
            )


class _BeginEpoch(keras.callbacks.Callback):
    """Calls the model before every epoch; last, so that the epoch's time counts it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.session.begin_epoch(epoch)


def _train(
    config: ExperimentConfig,
    dataset: spec.DatasetDir,
    run: RunDir,
    strategy: tf.distribute.Strategy,
    warm_start: Path | None,
) -> Progress:
    info = dataset.info()
    train_split = records.read_split(dataset, "train")
    sequences = training_sequences(config, train_split, info.num_items)
    session = Session.create(config, info, sequences, strategy)
    progress = Progress()
    if run.last.is_file():
        state = checkpoints.read_checkpoint(run.last, training_variables(session.model))
        progress = Progress(**state)
        print(f"resuming {run.root} after epoch {progress.epochs_done}")
    elif warm_start is not None:
        start_from(session.model, warm_start, dataset)
        print(f"starting from {warm_start}")
    forget_unfinished_epochs(run, progress)
    valid = records.read_split(dataset, "valid")
    epoch_end = EpochEnd(session.model, run, valid, progress)
    if not session.has_gradient:
        epoch_end({}, time.monotonic())
    elif not progress.is_over(config.train.patience):
        _announce(session)
        _run_epochs(session, epoch_end)
    if strategies.is_chief(strategy):
        run.finish(dataclasses.asdict(progress))
    return progress


def _announce(session: Session) -> None:
    print(
        f"{session.config.model}: {len(session.samples or ())} samples, "
        f"batch {session.batch_size}, {session.steps} steps an epoch, "
        f"{session.strategy.num_replicas_in_sync} replica(s)",
        flush=True,
    )


def _run_epochs(session: Session, epoch_end: EpochEnd) -> None:
    settings, first = session.config.train, epoch_end.progress.epochs_done
    if session.strategy.extended._in_multi_worker_mode():
        _run_worker_epochs(session, epoch_end)
        return
    board = keras.callbacks.TensorBoard(
        str(epoch_end.run.tensorboard), write_graph=False
    )
    callbacks = [FitCallback(epoch_end, settings.patience), board]
    session.fit(first, None, callbacks)


def _run_worker_epochs(session: Session, epoch_end: EpochEnd) -> None:
    """The same epochs where several workers share them; only the chief validates."""
    settings, progress = session.config.train, epoch_end.progress
    is_chief = strategies.is_chief(session.strategy)
    for start, end in session.stages(progress.epochs_done):
        worker_loop = strategies.WorkerLoop(
            session.strategy, session.model, session.batches(start)
        )
        while progress.epochs_done < end:
            started = time.monotonic()
            session.begin_epoch(progress.epochs_done)
            logs = worker_loop.train_epoch(session.steps)
            stop = False
            if is_chief:
                validation = epoch_end(logs, started)
                print(f"epoch {progress.epochs_done}: {logs | validation}", flush=True)
                stop = progress.is_over(settings.patience)
            else:
                progress.epochs_done += 1
            if worker_loop.from_chief(float(stop), is_chief):
                return

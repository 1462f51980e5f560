"""Training on TensorFlow, from a dataset folder, over one device or many."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data import records, stream
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.data.streamed import StreamedSamples
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.config import ConfigError, ExperimentConfig
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train import health
from s4rec_tf.train.keeping import Keeping, StepEnds, Sums
from s4rec_tf.train.resumption import Progress
from s4rec_tf.train.tensorflow import strategies, training_data
from s4rec_tf.train.trainer import Logs, Trainer, train_once, train_run
from s4rec_tf.train.warm_start import source_digest, start_from

_STEPS_A_MESSAGE = 10
"""A message to all workers may take as long as a step of a small model."""


class TensorFlowTrainer(Trainer):
    """Trains step by step, each a graph that every replica runs on its share.

    Args:
        config: of the run.
        info: facts of the dataset.
        sequences: the train split.
        strategy: over which devices; one device if None.
        streamed: see `Trainer`.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        info: spec.DatasetInfo,
        sequences: Sequences,
        strategy: tf.distribute.Strategy | None = None,
        streamed: StreamedSamples | None = None,
    ) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self.num_replicas = self.strategy.num_replicas_in_sync
        self.is_chief = strategies.is_chief(self.strategy)
        self._add = strategies.adder(self.strategy)
        if strategies.num_workers(self.strategy) > 1:
            self.agrees_every = _STEPS_A_MESSAGE
        if self.num_replicas > 1 and config.train.accumulation_steps > 1:
            raise ConfigError(
                "`accumulation_steps` must be 1 on several devices, which share a "
                f"larger batch instead. Received: {config.train.accumulation_steps}, "
                f"{self.num_replicas} devices"
            )
        super().__init__(config, info, sequences, streamed)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's scope."""
        return self.strategy.scope()

    @property
    def devices(self) -> str:
        """The number of replicas."""
        return f"{self.num_replicas} replica(s)"

    def batches(
        self,
        first_epoch: int,
        first_step: int = 0,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Endless global batches from a step of an epoch on.

        Args:
            first_epoch: counted from 0, like the step.
            first_step: where to begin in it.
            context: of a worker that reads its part of a streamed split alone.
        """
        assert self.samples is not None
        of_epochs = (
            *(self.model.batch_spec(), self.config.data, self.num_items),
            *(self.batch_size, self.config.train.seed, first_epoch, first_step),
        )
        if isinstance(self.samples, StreamedSamples):
            dataset = stream.streamed_batches(self.samples, *of_epochs, context)
        else:
            dataset = stream.training_batches(self.sequences, self.samples, *of_epochs)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.with_options(options)

    def begin(self, epoch: int, first_step: int = 0) -> None:
        """Opens the batches from a step of an epoch on; traces the step anew."""
        self._iterator: Any = iter(self._distributed(epoch, first_step))
        self._compiled_step = tf.function(self._global_step)
        if limit := self.config.train.clip_norm:
            self.model.optimizer.global_clipnorm = limit / self.num_replicas

    def _distributed(self, epoch: int, first_step: int) -> Any:
        """The replicas' batches: parts of global ones, or of their worker's own."""
        many_workers = strategies.num_workers(self.strategy) > 1
        if many_workers and isinstance(self.samples, StreamedSamples):
            return self.strategy.distribute_datasets_from_function(
                lambda context: self.batches(epoch, first_step, context)
            )
        batches = self.batches(epoch, first_step)
        return self.strategy.experimental_distribute_dataset(batches)

    def close(self) -> None:
        """Ends the pipeline, whose threads would wait for Python at its exit."""
        self._iterator = None

    def step(self) -> tf.Tensor:
        """Trains on the next batch; returns its loss."""
        return self._compiled_step(self._iterator)

    def batch(self, epoch: int, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, made once more."""
        made = next(iter(self.batches(epoch, step)))
        arrays = dict(made)
        for name, array in arrays.pop("users", {}).items():
            arrays[f"users/{name}"] = array
        return {name: array.numpy() for name, array in arrays.items()}

    def train_epoch(self, epoch: int, ends: StepEnds) -> None:
        """Trains what is left of the next epoch; draws a bar on a terminal."""
        bar = keras.utils.Progbar(self.steps, verbose=int(sys.stdout.isatty()))
        for step in range(ends.place.step, self.steps):
            try:
                with ends.step(step):
                    loss = float(self.step())
            except tf.errors.OutOfRangeError as error:
                raise health.NoBatch(epoch + 1, step + 1) from error
            if not math.isfinite(loss):
                raise self.diverged(epoch, step)
            bar.update(step + 1)
            if ends.wants(step + 1):
                ends(step + 1)

    def agree_on(self, is_due: bool, stops: bool) -> tuple[bool, bool]:
        """The decisions of all workers, in one message."""
        many = self.num_replicas + 1
        total = round(self._add(float(is_due and self.is_chief) + many * stops))
        return bool(total % many), total >= many

    def sums(self) -> Sums:
        """The sums, by replica where they can be read by replica."""
        means = self.model.term_means.items()
        return {name: [self._parts(v) for v in mean.variables] for name, mean in means}

    def put_back_sums(self, sums: Sums) -> None:
        """Assigns sums to the replicas they came from, if these are as many."""
        super().put_back_sums(sums)
        for name, mean in self.model.term_means.items():
            for variable, values in zip(mean.variables, sums[name], strict=True):
                own = self._replicas(variable)
                if isinstance(values, list) and len(values) == len(own):
                    for replica, value in zip(own, values, strict=True):
                        replica.assign(value)

    def _parts(self, variable: Any) -> float | list[float]:
        if own := self._replicas(variable):
            return [float(part) for part in own]
        # Over several workers a message, which all of them send.
        return float(tf.convert_to_tensor(variable.value))

    def _replicas(self, variable: Any) -> Sequence[Any]:
        """A sum on each replica; nothing if there is one, or other workers."""
        if self.num_replicas == 1 or strategies.num_workers(self.strategy) > 1:
            return ()
        return tuple(variable.value.values)

    def _global_step(self, iterator: Any) -> tf.Tensor:
        losses = self.strategy.run(self._replica_step, args=(next(iterator),))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            encoded = self.model(batch, training=True)
            loss = self.model.compute_loss(batch, y_pred=encoded)
        variables = self.model.trainable_weights
        gradients = self._shares(tape.gradient(loss, variables))
        self.model.optimizer.apply(gradients, variables)
        return loss

    def _shares(self, gradients: list[Any]) -> list[Any]:
        """Equal parts of the sum over replicas, if its length matters.

        Keras clips what each replica brings, before it adds them up.
        """
        if self.num_replicas == 1 or not self.config.train.clip_norm:
            return gradients
        context = tf.distribute.get_replica_context()
        own = [gradient for gradient in gradients if gradient is not None]
        total = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, own))
        return [None if g is None else next(total) for g in gradients]


class Board:
    """TensorBoard's curves of a run, one point an epoch, named as Keras does.

    Keras' own callback keeps points back; here each is in its file at once.
    """

    def __init__(self, folder: Path, model: SequenceRecommender) -> None:
        self._optimizer = model.optimizer
        self._train, self._validation = (
            tf.summary.create_file_writer(str(folder / part))
            for part in ("train", "validation")
        )

    def log(self, epoch: int, logs: Logs) -> None:
        """Adds an epoch's figures."""
        rate = float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))
        for name, value in {**logs, "learning_rate": rate}.items():
            is_train = not name.startswith("val_")
            writer = self._train if is_train else self._validation
            with writer.as_default(step=epoch):
                tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value)
        self._train.flush()
        self._validation.flush()


def train(
    config: ExperimentConfig,
    dataset: spec.DatasetDir,
    run_dir: Path,
    strategy: tf.distribute.Strategy | None = None,
    warm_start: Path | None = None,
    keeping: Keeping | None = None,
) -> Progress:
    """Trains a run, resumes it, or finds it finished.

    Args:
        config: the resolved configuration.
        dataset: a finished dataset folder.
        run_dir: the run folder; created if missing.
        strategy: over which devices; one device if None.
        warm_start: run folder whose best weights a new run starts from.
        keeping: when to write the state within an epoch; the defaults if None.

    Returns:
        progress of the run at the end.

    Raises:
        Stopped: if a signal that `keeping` waits for has asked for an end.
        RunError: if the folder holds another run or another process trains in it.
        spec.DatasetError: if the dataset is unfinished or damaged.
        ValueError: if the dataset gives no training sample.
    """
    strategy = strategy or tf.distribute.get_strategy()
    run = RunDir(run_dir)
    records.verify(dataset)

    def initialize(model: SequenceRecommender) -> None:
        if warm_start is not None:
            start_from(model, warm_start, dataset)
            print(f"starting from {warm_start}")

    def train_rest() -> Progress:
        data = training_data.read(config, dataset)
        trainer = TensorFlowTrainer(
            config, dataset.info(), data.train, strategy, data.streamed
        )
        log_epoch = None
        if trainer.is_chief and trainer.samples is not None:
            log_epoch = Board(run.tensorboard, trainer.model).log
        return train_run(trainer, run, data.valid, initialize, log_epoch, keeping)

    if not strategies.is_chief(strategy):
        # The chief of a finished run trains no more, so nobody else may wait for it.
        if run.is_finished():
            return Progress(**checkpoints.read_state(run.best))
        return train_rest()
    digest = None if warm_start is None else source_digest(warm_start)
    device = strategies.devices_of(strategy)
    return train_once(run, config, dataset, train_rest, digest, device)

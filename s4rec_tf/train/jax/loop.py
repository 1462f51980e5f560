"""Trains any registered model from arrays, on JAX; names none of them.

The run folder, its resumption, validation and early stop are those of the TensorFlow
loop. An epoch runs in few dispatches: the data lie on the device, batches are made
inside the compiled step, and many steps are one loop on the device.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from s4rec_tf.data.array_file import ArrayDataset
from s4rec_tf.data.samples import (
    Samples,
    UserStream,
    global_batch_size,
    training_samples,
)
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.config import ExperimentConfig
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.jax import batches
from s4rec_tf.train.jax.device_ranks import DeviceRanks
from s4rec_tf.train.setup import build_for_training, steps_an_epoch, training_sequences
from s4rec_tf.train.stages import begin_stages
from s4rec_tf.train.validation import (
    EpochEnd,
    Progress,
    forget_unfinished_epochs,
    training_variables,
)

Array = Any
State = dict[str, list[Array]]

STEPS_A_DISPATCH = 128
"""Bounds how long the process does not hear an interrupt."""


def train(config: ExperimentConfig, dataset: ArrayDataset, run_dir: Path) -> Progress:
    """Trains a run, or goes on with it, or finds it finished.

    Args:
        config: the resolved configuration.
        dataset: the arrays.
        run_dir: the run folder; created if missing.

    Returns:
        where the run stands at the end.

    Raises:
        RunError: if the folder holds another run or another process trains in it.
        ValueError: if the dataset gives no training sample.
    """
    run = RunDir(run_dir)
    with run.lock():
        run.begin(config, dataset)
        if run.is_finished():
            print(f"{run.root} is finished")
        else:
            _train(config, dataset, run)
        return Progress(**checkpoints.read_state(run.best))


def _train(config: ExperimentConfig, dataset: ArrayDataset, run: RunDir) -> None:
    sequences = training_sequences(
        config, dataset.splits["train"], dataset.info.num_items
    )
    model = build_for_training(config, dataset.info, sequences)
    progress = Progress()
    if run.last.is_file():
        state = checkpoints.read_checkpoint(run.last, training_variables(model))
        progress = Progress(**state)
        print(f"resuming {run.root} after epoch {progress.epochs_done}")
    forget_unfinished_epochs(run, progress)
    valid = dataset.splits["valid"]
    # What ranks on the device knows products alone.
    by_product = model.scores_by_product
    rank = DeviceRanks(valid, dataset.info.num_items) if by_product else None
    epoch_end = EpochEnd(model, run, valid, progress, rank)
    if not model.trainable_variables:
        epoch_end({}, time.monotonic())
    elif not progress.is_over(config.train.patience):
        _run_epochs(config, sequences, model, epoch_end)
    run.finish(dataclasses.asdict(progress))


def _run_epochs(
    config: ExperimentConfig,
    sequences: Sequences,
    model: SequenceRecommender,
    epoch_end: EpochEnd,
) -> None:
    settings, steps = config.train, steps_an_epoch(config, sequences)
    for start, end in begin_stages(
        model, settings, steps, epoch_end.progress.epochs_done
    ):
        trainer = EpochTrainer(config, sequences, model)
        print(
            f"{config.model}: {trainer.num_samples} samples, batch "
            f"{trainer.batch_size}, {trainer.steps} steps an epoch, on "
            f"{jax.devices()[0].device_kind}",
            flush=True,
        )
        _run_stage(trainer, start, end, epoch_end)
        if epoch_end.progress.is_over(settings.patience):
            break


def _run_stage(
    trainer: EpochTrainer, start: int, end: int, epoch_end: EpochEnd
) -> None:
    model, sequences, progress = trainer.model, trainer.sequences, epoch_end.progress
    settings = trainer.settings
    for epoch in range(start, end):
        started = time.monotonic()
        model.begin_epoch(
            lambda: encoding.embed_users(model, sequences),
            np.random.default_rng([settings.seed, epoch]),
        )
        logs = trainer.train_epoch(epoch)
        seconds = time.monotonic() - started
        validation = epoch_end(logs, started)
        found = " ".join(f"{k} {v:.4f}" for k, v in {**logs, **validation}.items())
        print(f"epoch {progress.epochs_done}: {seconds:.1f} s {found}", flush=True)
        if progress.is_over(settings.patience):
            break


class EpochTrainer:
    """Trains epochs of a compiled model on the device.

    Args:
        config: of the run.
        sequences: the train split.
        model: built and compiled; its variables hold the state between epochs.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        sequences: Sequences,
        model: SequenceRecommender,
    ) -> None:
        samples: Samples = training_samples(
            sequences, config.data.samples, model.max_length
        )
        needs = model.batch_needs()
        self.model, self.num_samples = model, len(samples)
        self.settings, self.sequences = config.train, sequences
        self.batch_size = global_batch_size(
            config.train.batch_size, len(samples), num_replicas=1
        )
        self.steps = len(samples) // self.batch_size
        self.maker = batches.BatchMaker(
            needs, samples.num_targets, config.data, model.num_items
        )
        self.data = batches.device_data(sequences, samples, needs)
        self.users: batches.UserBatches | None = None
        if needs.users:
            stream = UserStream.beside(
                self.num_samples, self.batch_size, sequences, model.max_length
            )
            self.users = batches.UserBatches(
                stream, needs.users, config.data, model.num_items
            )
            of_users = batches.device_data(sequences, stream.samples, needs.users)
            # One copy of the split on the device.
            self.data["of_users"] = {**of_users, "values": self.data["values"]}
        self.key = jax.random.key(config.train.seed)
        self._run = jax.jit(self._run_steps, donate_argnums=0)
        self._shuffle = jax.jit(
            lambda key: jax.random.permutation(key, self.num_samples)
        )

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Trains an epoch, numbered from 0; returns the mean of every term."""
        self.model.reset_metrics()
        order, key = self.epoch_order(epoch)
        state = self.state()
        for first in range(0, self.steps, STEPS_A_DISPATCH):
            last = min(first + STEPS_A_DISPATCH, self.steps)
            state = self.run_steps(state, order, key, first, last)
        self.put_back(state)
        # Keras' own tracker of the total is fed by `fit` alone.
        results = self.model.get_metrics_result()
        logs = {name: float(v) for name, v in results.items() if name != "loss"}
        total = sum(v for name, v in logs.items() if name.endswith("_weighted"))
        return {"loss": total, **logs}

    def epoch_order(self, epoch: int) -> tuple[Array, Array]:
        """Order of an epoch, and the key of all else that is random.

        Returns:
            the samples in their order, behind them the users if batches of users are
            needed, int32 [N] or [N + U]; and the key.
        """
        order_key, key = jax.random.split(jax.random.fold_in(self.key, epoch))
        order = self._shuffle(order_key)
        if self.users:
            of_users = self.users.order(jax.random.fold_in(order_key, 1))
            order = jnp.concatenate([order, of_users])
        return order, key

    def run_steps(
        self, state: State, order: Array, key: Array, first: int, last: int
    ) -> State:
        """Trains steps `first` to `last` (excluded) of an epoch, and waits for them.

        Args:
            state: from `state` or an earlier call; of no more use afterwards.
            order: from `epoch_order`.
            key: from `epoch_order`.
            first: number of a step, counted from 0.
            last: at most `steps`.
        """
        after: State = self._run(state, self.data, order, key, first, last)
        jax.block_until_ready(after)
        return after

    def state(self) -> State:
        """All that a step changes; copies, since the loop on the device takes them."""
        return {
            name: [jnp.copy(variable.value) for variable in variables]
            for name, variables in self._variables().items()
        }

    def put_back(self, state: State) -> None:
        """Gives the model's variables the values of a state."""
        for name, variables in self._variables().items():
            for variable, value in zip(variables, state[name], strict=True):
                variable.assign(value)

    def step(self, state: State, batch: dict[str, Array]) -> State:
        """One training step, a pure function."""
        gradient = jax.grad(self._loss, has_aux=True)
        gradients, others = gradient(state["trainable"], state, batch)
        trainable, optimizer = self.model.optimizer.stateless_apply(
            state["optimizer"], gradients, state["trainable"]
        )
        after = {"trainable": trainable, "optimizer": optimizer, **others}
        # The loop on the device wants every type unchanged.
        return jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "trainable": self.model.trainable_variables,
            "other": self.model.non_trainable_variables,
            "optimizer": self.model.optimizer.variables,
            "metrics": self.model.metrics_variables,
        }

    def _loss(
        self, trainable: list[Array], state: State, batch: dict[str, Array]
    ) -> tuple[Array, State]:
        """The loss, and the variables that computing it changes."""
        values = {**state, "trainable": trainable}
        variables = self._variables()
        names = ("trainable", "other", "metrics")
        pairs = [
            pair
            for name in names
            for pair in zip(variables[name], values[name], strict=True)
        ]
        with keras.StatelessScope(state_mapping=pairs) as scope:
            encoded = self.model(batch, training=True)
            loss = self.model.compute_loss(batch, y_pred=encoded)
        changed = {
            name: [scope.get_current_value(variable) for variable in variables[name]]
            for name in names[1:]
        }
        return loss, changed

    def _run_steps(
        self,
        state: State,
        data: batches.Data,
        order: Array,
        key: Array,
        first: Array,
        last: Array,
    ) -> State:
        """Steps `first` to `last` (excluded) of an epoch, compiled for any two."""

        def one(number: Array, state: State) -> State:
            start = number * self.batch_size
            rows = jax.lax.dynamic_slice(order, (start,), (self.batch_size,))
            batch_key = jax.random.fold_in(key, number)
            batch = self.maker.make(data, rows, batch_key)
            users = self.users
            if users is None:
                return self.step(state, batch)

            def with_users() -> State:
                user_order = order[self.num_samples :]
                user_key = jax.random.fold_in(batch_key, 1)
                made = users.make(data["of_users"], user_order, number, user_key)
                return self.step(state, {**batch, "users": made})

            return jax.lax.cond(
                users.stand_beside(number), with_users, lambda: self.step(state, batch)
            )

        return jax.lax.fori_loop(first, last, one, state)

"""Training on JAX, from arrays, without TensorFlow.

An epoch runs in few dispatches: the data lie on the device, batches are made inside the
compiled step, and many steps are one loop on the device.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from s4rec_tf.data.array_file import ArrayDataset
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.batches import BatchMaker, sample_arrays
from s4rec_tf.data.samples import Samples, UserStream
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.runs.config import ConfigError, ExperimentConfig
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train.jax.device_ranks import DeviceRanks
from s4rec_tf.train.keeping import Keeping, StepEnds
from s4rec_tf.train.resumption import Progress
from s4rec_tf.train.setup import training_sequences
from s4rec_tf.train.trainer import Trainer, train_once, train_run
from s4rec_tf.train.validation import Ranker

Array = Any
Data = dict[str, Array]
State = dict[str, list[Array]]

STEPS_A_DISPATCH = 128
"""Most steps that are one loop on the device."""
_SHORT_DISPATCH = 1.0
"""Seconds; bounds the time in which a signal has no effect."""


def train(
    config: ExperimentConfig,
    dataset: ArrayDataset,
    run_dir: Path,
    keeping: Keeping | None = None,
) -> Progress:
    """Trains a run, resumes it, or finds it finished.

    Args:
        config: the resolved configuration.
        dataset: the arrays.
        run_dir: the run folder; created if missing.
        keeping: when to write the state within an epoch; the defaults if None.

    Returns:
        progress of the run at the end.

    Raises:
        Stopped: if a signal that `keeping` waits for has asked for an end.
        RunError: if the folder holds another run or another process trains in it.
        ConfigError: if a stream is asked for.
        ValueError: if the dataset gives no training sample.
    """
    if config.train.data == "streaming":
        raise ConfigError(
            "`data` must be memory or auto on JAX, which trains from arrays. "
            "Received: streaming. Train by `python -m s4rec_tf.train`"
        )
    run = RunDir(run_dir)

    def train_rest() -> Progress:
        split, info = dataset.splits["train"], dataset.info
        sequences = training_sequences(config, split, info.num_items)
        trainer = JaxTrainer(config, info, sequences)
        return train_run(trainer, run, dataset.splits["valid"], keeping=keeping)

    device = f"1 x {jax.devices()[0].device_kind}"
    return train_once(run, config, dataset, train_rest, device=device)


def device_data(sequences: Sequences, samples: Samples, contents: BatchSpec) -> Data:
    """Puts `sample_arrays` on the device.

    Raises:
        ValueError: if the split has more actions than int32 can count.
    """
    if len(sequences.values) > np.iinfo(np.int32).max:
        raise ValueError(
            f"the train split must have less than 2^31 actions. "
            f"Received: {len(sequences.values)}"
        )
    arrays = sample_arrays(sequences, samples, contents)
    is_head = jnp.asarray(arrays.pop("is_head"))
    integers = {name: jnp.asarray(a, jnp.int32) for name, a in arrays.items()}
    return {**integers, "is_head": is_head}


class JaxTrainer(Trainer):
    """Trains many steps a dispatch; the model's variables hold the state in between.

    See `Trainer`.
    """

    @property
    def devices(self) -> str:
        """The kind of the one device."""
        return f"on {jax.devices()[0].device_kind}"

    def ranker(self, sequences: Sequences) -> Ranker | None:
        """Ranks on the device; None for models whose scores are no products."""
        if not self.model.is_dot_product:
            return None
        return DeviceRanks(sequences, self.num_items)

    def begin(self, epoch: int, first_step: int = 0) -> None:
        """Puts the data on the device; the steps are compiled anew."""
        assert isinstance(self.samples, Samples)
        contents, views = self.model.batch_spec(), self.config.data
        self.num_samples = len(self.samples)
        self.maker = BatchMaker(
            contents, self.samples.num_targets, views, self.num_items
        )
        self.data = device_data(self.sequences, self.samples, contents)
        self.user_stream: UserStream | None = None
        if contents.users:
            self.user_stream = UserStream.beside(
                self.num_samples, self.batch_size, self.sequences, contents.max_length
            )
            self.user_maker = BatchMaker(contents.users, 1, views, self.num_items)
            of_users = device_data(
                self.sequences, self.user_stream.samples, contents.users
            )
            # One copy of the split on the device.
            self.data["of_users"] = {**of_users, "values": self.data["values"]}
        self.key = jax.random.key(self.config.train.seed)
        self._at_once = 1
        self._run = jax.jit(self._run_steps, donate_argnums=0)
        self._shuffle = jax.jit(jax.random.permutation, static_argnums=1)

    def train_epoch(self, epoch: int, ends: StepEnds) -> None:
        """Trains what is left of an epoch; terms are looked at after each dispatch."""
        order, key = self.epoch_order(epoch)
        state, first = self.state(), ends.place.step
        while first < self.steps:
            last = min(first + self._at_once, ends.next_due(first), self.steps)
            began = time.monotonic()
            with ends.step(first):
                state = self.run_steps(state, order, key, first, last)
            self._pace(time.monotonic() - began)
            # Sums of the terms: one that is not finite stays so.
            if not all(bool(jnp.isfinite(total)) for total in state["metrics"]):
                self.put_back(state)
                raise self.diverged(epoch, last - 1)
            first = last
            if ends.wants(first):
                self.put_back(state)
                ends(first)
                state = self.state()
        self.put_back(state)

    def _pace(self, seconds: float) -> None:
        """Sets the steps of the next dispatch by the time that the last one took."""
        if seconds < _SHORT_DISPATCH:
            self._at_once = min(2 * self._at_once, STEPS_A_DISPATCH)
        elif seconds > 2 * _SHORT_DISPATCH:
            self._at_once = max(self._at_once // 2, 1)

    def epoch_order(self, epoch: int) -> tuple[Array, Array]:
        """Order of an epoch, and the key of all else that is random.

        Returns:
            the samples in their order, behind them the users if batches of users are
            needed, int32 [N] or [N + U]; and the key.
        """
        order_key, key = jax.random.split(jax.random.fold_in(self.key, epoch))
        order = self._shuffle(order_key, self.num_samples)
        if self.user_stream:
            user_key = jax.random.fold_in(order_key, 1)
            of_users = self._shuffle(user_key, len(self.user_stream.samples))
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
        """Assigns a state to the model's variables."""
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
        data: Data,
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
            users = self.user_stream
            if users is None:
                return self.step(state, batch)

            def with_users() -> State:
                chosen = order[self.num_samples :][users.places(number)]
                user_key = jax.random.fold_in(batch_key, 1)
                made = self.user_maker.make(data["of_users"], chosen, user_key)
                return self.step(state, {**batch, "users": made})

            return jax.lax.cond(
                number % users.every == 0, with_users, lambda: self.step(state, batch)
            )

        return jax.lax.fori_loop(first, last, one, state)

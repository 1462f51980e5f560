"""Measures this project's training; a child process of `benchmarks.train_speed`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import child, shapes
from benchmarks.costs import Task
from benchmarks.flags import add_model
from benchmarks.stopwatch import Stopwatch, best_seconds
from s4rec_tf import spec
from s4rec_tf.data import records, stream
from s4rec_tf.data.samples import Samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.runs import config as configuration
from s4rec_tf.train.tensorflow.strategies import make_strategy
from s4rec_tf.train.tensorflow.trainer import TensorFlowTrainer

_CEILING_SIZE = 2048
_COUNTED_BATCHES = 40
_TIMED_BATCHES = 8
_COMPILE_SECONDS = 10.0
_MANY_EPOCHS = 1000


class Training:
    """A trainer, and what is measured of it.

    Args:
        config: the configuration.
        sequences: the train split.
        num_items: V.
        num_devices: logical CPUs, each with a replica.
    """

    def __init__(
        self,
        config: configuration.ExperimentConfig,
        sequences: Sequences,
        num_items: int,
        num_devices: int = 1,
    ) -> None:
        info = shapes.info_of(sequences, num_items)
        self.config, self.sequences = config, sequences
        strategy = _devices(num_devices) if num_devices > 1 else None
        self.trainer = TensorFlowTrainer(config, info, sequences, strategy)
        if not isinstance(self.trainer.samples, Samples):
            raise ValueError(f"{config.model} is not trained by gradient")
        self.samples = self.trainer.samples
        self.task = Task(config, self.samples, num_items, self.trainer.batch_size)
        self.epoch = 0

    def handlers(self) -> dict[str, child.Handler]:
        """The answer of the process."""
        return {
            "measure": self.measure,
            "ceiling": self.ceiling,
            "cost": self.cost,
            "breakdown": self.breakdown,
            "peak_memory_gib": child.peak_memory_gib,
            "write_sequences": self.write_sequences,
        }

    def measure(
        self, warm_up: float, seconds: float, max_steps: int
    ) -> dict[str, float]:
        """Trains for a while by the trainer's own steps.

        Returns:
            steps, rows, pairs and seconds after the warm-up, and the median step.
        """
        stopwatch = Stopwatch(warm_up, seconds, max_steps)
        self.trainer.begin(self.epoch)
        self._train_until(stopwatch)
        return self.task.counts(
            {
                "steps": stopwatch.steps,
                "seconds": stopwatch.seconds,
                "median_step_ms": stopwatch.median_step_ms,
                "cpu_step_ms": stopwatch.cpu_step_ms,
            }
        )

    def _train_until(self, stopwatch: Stopwatch) -> None:
        """Trains epoch after epoch, none of them twice, until time is up."""
        while True:
            self.trainer.refresh(self.epoch)
            self.epoch += 1
            for _ in range(self.trainer.steps):
                self.trainer.step()
                if stopwatch.step_ended():
                    return

    def cost(self) -> dict[str, float]:
        """Positions and operations of a row; of views from a few batches."""
        drawn = self.trainer.batches(0).take(_COUNTED_BATCHES)
        return self.task.cost(list(drawn.as_numpy_iterator()))

    def breakdown(self, seconds: float) -> dict[str, float]:
        """Median milliseconds a batch of each part of a step, timed by itself.

        `input` and `augmentation` are what the pipeline needs for a batch without
        views and what views add: in training it runs beside the step. The others are
        compiled by themselves and run on batches that are at hand.
        """
        plain = self._input_ms(0, seconds)
        views = self.trainer.model.batch_spec().num_views
        whole = self._input_ms(views, seconds) if views else plain
        drawn = list(self.trainer.batches(0).take(_TIMED_BATCHES))
        parts = Parts(self.trainer.model, drawn[0])
        return {
            "input": plain,
            "augmentation": max(whole - plain, 0.0),
            "encoder": _median_ms(parts.encoder, drawn, seconds),
            "logits_and_loss": _median_ms(parts.loss, drawn, seconds),
            "optimizer": _median_ms(parts.optimizer, drawn, seconds),
        }

    def _input_ms(self, num_views: int, seconds: float) -> float:
        needs = dataclasses.replace(
            self.trainer.model.batch_spec(), num_views=num_views
        )
        iterator = iter(
            stream.training_batches(
                self.sequences,
                self.samples,
                needs,
                self.config.data,
                self.trainer.num_items,
                self.trainer.batch_size,
                self.config.train.seed,
            )
        )
        for _ in range(_TIMED_BATCHES):
            next(iterator)
        began, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds or not count:
            next(iterator)
            count += 1
        return 1e3 * passed / count

    def ceiling(self, seconds: float = 1.5) -> float:
        """The best rate of a large product in training's precision, operations/s."""
        matrix = tf.random.stateless_normal((_CEILING_SIZE, _CEILING_SIZE), seed=(1, 2))
        matrix = tf.cast(matrix, self.config.train.precision)
        product = tf.function(lambda: tf.linalg.matmul(matrix, matrix))
        return 2 * _CEILING_SIZE**3 / best_seconds(product, seconds)

    def write_sequences(self, path: str) -> dict[str, int]:
        """Writes the train split for a peer, and returns what it must find in it."""
        return shapes.write_task(
            path, self.sequences, self.trainer.num_items, self.trainer.batch_size
        )


class Parts:
    """The parts of a step that are compiled apart, each forward and backward.

    Args:
        model: compiled.
        batch: a batch on which the inputs of the loss and the optimizer are made.
    """

    def __init__(self, model: Any, batch: dict[str, tf.Tensor]) -> None:
        self.model = model
        self.values = [variable.value for variable in model.trainable_variables]
        self.encoded, of_encoder = self.encoder(batch)
        _, of_loss = self.loss(batch)
        pairs = zip(of_encoder, of_loss, strict=True)
        summed = [_sum(pair) for pair in pairs]
        by_variable = zip(summed, model.trainable_variables, strict=True)
        received = [pair for pair in by_variable if pair[0] is not None]
        self.gradients = [gradient for gradient, _ in received]
        self.updated = [variable for _, variable in received]

    @tf.function
    def encoder(self, batch: dict[str, tf.Tensor]) -> tuple[Any, list[Any]]:
        """States, and what the variables receive for a gradient of ones."""
        with tf.GradientTape() as tape:
            encoded = self.model(batch, training=True)
            states = tf.nest.flatten(encoded)
            total = tf.add_n([tf.reduce_sum(state) for state in states])
        return encoded, list(tape.gradient(total, self.values))

    @tf.function
    def loss(self, batch: dict[str, tf.Tensor]) -> tuple[list[Any], list[Any]]:
        """Gradients of all terms: of states that are given, and of the variables."""
        states = tf.nest.flatten(self.encoded)
        with tf.GradientTape() as tape:
            tape.watch(states)
            loss = self.model.compute_loss(x=batch, y_pred=self.encoded)
        of_states, of_values = tape.gradient(loss, [states, self.values])
        return of_states, of_values

    @tf.function
    def optimizer(self, batch: dict[str, tf.Tensor]) -> None:
        """An update by gradients that are given."""
        self.model.optimizer.apply(self.gradients, self.updated)


def _sum(gradients: Any) -> Any:
    """One gradient of two; it lists rows if both do."""
    present = [gradient for gradient in gradients if gradient is not None]
    if len(present) < 2:
        return present[0] if present else None
    if all(isinstance(gradient, tf.IndexedSlices) for gradient in present):
        return tf.IndexedSlices(
            tf.concat([gradient.values for gradient in present], axis=0),
            tf.concat([gradient.indices for gradient in present], axis=0),
            present[0].dense_shape,
        )
    return tf.add_n([tf.convert_to_tensor(gradient) for gradient in present])


def _median_ms(
    part: Callable[[Any], Any], batches_at_hand: list[Any], seconds: float
) -> float:
    began = time.perf_counter()
    # Not timed: every batch may bring a shape to be compiled. Slow parts get one.
    for batch in batches_at_hand:
        part(batch)
        if time.perf_counter() - began > _COMPILE_SECONDS:
            break
    times: list[float] = []
    for batch in itertools.cycle(batches_at_hand):
        began = time.perf_counter()
        part(batch)
        times.append(time.perf_counter() - began)
        if len(times) > 1 and sum(times) >= seconds:
            return 1e3 * float(np.median(times))
    raise AssertionError("a cycle ends only when it is empty")


def build(args: argparse.Namespace) -> Training:
    """Makes the data and the trainer that the command line names."""
    shape = shapes.SHAPES[args.shape]
    num_items = args.items or shape.num_items
    if args.dataset:
        dataset = spec.DatasetDir(args.dataset)
        sequences = records.read_split(dataset, "train")
        num_items = dataset.info().num_items
    else:
        sequences = shapes.generate(shape.num_users, num_items)
    if args.times > 1:
        sequences = shapes.repeat(sequences, args.times)
    # However often training is measured, it must not come to its last epoch.
    endless = f"epochs={_MANY_EPOCHS**2}"
    meant = [f"loss={shape.loss}", f"optimizer={shape.optimizer}", "score=dot"]
    config = configuration.resolve(args.model, overrides=[*meant, *args.set, endless])
    return Training(config, sequences, num_items, args.devices)


def _devices(count: int) -> tf.distribute.Strategy:
    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * count)
    return make_strategy("mirrored")


def main() -> None:
    """Serves the measurements of one model at one shape."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_model(parser)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--devices", type=int, default=1, help="logical CPUs")
    parser.add_argument("--items", type=int, default=0, help="instead of the shape's")
    args = parser.parse_args()
    child.serve(lambda: build(args).handlers())


if __name__ == "__main__":
    main()

"""Measures this project's training on JAX; a child of `benchmarks.train_speed_jax`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks import child, jax_device, shapes
from benchmarks.costs import Task
from benchmarks.flags import add_model
from benchmarks.stopwatch import time_runs
from s4rec_tf import spec
from s4rec_tf.data import array_file
from s4rec_tf.data.samples import Samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.runs import config as configuration
from s4rec_tf.train.jax import trainer
from s4rec_tf.train.keeping import Keeping, Place, StepEnds

_COUNTED_BATCHES = 40


class Training:
    """Training as the loop on JAX does it, and what is measured of it.

    Args:
        config: the configuration.
        sequences: the train split.
        info: facts of the dataset.
        clock: made before JAX compiled anything.
    """

    def __init__(
        self,
        config: configuration.ExperimentConfig,
        sequences: Sequences,
        info: spec.DatasetInfo,
        clock: jax_device.CompileClock,
    ) -> None:
        self.config, self.sequences, self.clock = config, sequences, clock
        self.trainer = trainer.JaxTrainer(config, info, sequences)
        if not isinstance(self.trainer.samples, Samples):
            raise ValueError(f"{config.model} is not trained by gradient")
        self.task = Task(
            config, self.trainer.samples, info.num_items, self.trainer.batch_size
        )
        self._ends = StepEnds(
            self.trainer, lambda within: None, Keeping(minutes=0), Place()
        )
        self.epoch = 0
        self.trainer.begin(self.epoch)
        self.trainer.refresh(self.epoch)
        self._state = self.trainer.state()
        self._order, self._key = self.trainer.epoch_order(self.epoch)
        self._next_step = 0

    def handlers(self) -> dict[str, child.Handler]:
        """The answer of the process."""
        return {
            "facts": jax_device.facts,
            "measure": self.measure,
            "epoch_seconds": self.epoch_seconds,
            "compile_seconds": self.clock.seconds,
            "peak_memory_gib": jax_device.peak_memory_gib,
            "ceiling": self.ceiling,
            "cost": self.cost,
            "write_sequences": self.write_sequences,
        }

    def measure(
        self, warm_up: float, seconds: float, max_steps: int
    ) -> dict[str, float]:
        """Trains for a while, many steps a dispatch as in the trainer.

        Returns:
            steps, rows, pairs and seconds after the warm-up, and the median step.
        """
        longest = min(trainer.STEPS_A_DISPATCH, self.trainer.steps)
        return self.task.counts(
            time_runs(self._run, warm_up, seconds, max_steps, longest)
        )

    def epoch_seconds(self, max_steps: int) -> float | None:
        """Seconds of a whole epoch, without validation; None if it has more steps."""
        if self.trainer.steps > max_steps:
            return None
        # The first may compile what is done once an epoch.
        for _ in range(2):
            began = time.perf_counter()
            self.trainer.refresh(self.epoch)
            self.trainer.train_epoch(self.epoch, self._ends)
            self.epoch += 1
        return time.perf_counter() - began

    def cost(self) -> dict[str, float]:
        """Positions and operations of a row; of views from a few batches."""
        make = jax.jit(self.trainer.maker.make)
        drawn = []
        for number in range(min(_COUNTED_BATCHES, self.trainer.steps)):
            start = number * self.trainer.batch_size
            rows = self._order[start : start + self.trainer.batch_size]
            key = jax.random.fold_in(self._key, number)
            batch = make(self.trainer.data, rows, key)
            drawn.append({name: np.asarray(value) for name, value in batch.items()})
        return self.task.cost(drawn)

    def ceiling(self, seconds: float) -> float:
        """The best rate of a large product in training's precision, operations/s."""
        return jax_device.ceiling(seconds, self.config.train.precision)

    def write_sequences(self, path: str) -> dict[str, int]:
        """Writes the train split for a peer, and returns what it must find in it."""
        return shapes.write_task(
            path, self.sequences, self.task.num_items, self.task.batch_size
        )

    def _run(self, num_steps: int) -> None:
        """The next steps; an epoch's last ones are left out where they are fewer."""
        if self._next_step + num_steps > self.trainer.steps:
            self.epoch += 1
            self._order, self._key = self.trainer.epoch_order(self.epoch)
            self._next_step = 0
        first, self._next_step = self._next_step, self._next_step + num_steps
        self._state = self.trainer.run_steps(
            self._state, self._order, self._key, first, self._next_step
        )


def build(args: argparse.Namespace, clock: jax_device.CompileClock) -> Training:
    """Makes the data and the model that the command line names."""
    shape = shapes.SHAPES[args.shape]
    config = configuration.resolve(
        args.model, overrides=[f"loss={shape.loss}", "score=dot", *args.set]
    )
    if args.arrays:
        dataset = array_file.read_arrays(args.arrays)
        sequences, info = dataset.splits["train"], dataset.info
    else:
        sequences = shapes.generate(shape.num_users, shape.num_items)
        info = shapes.info_of(sequences, shape.num_items)
    return Training(config, sequences, info, clock)


def main() -> None:
    """Serves the measurements of one model."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_model(parser)
    parser.add_argument("--arrays", type=Path)
    args = parser.parse_args()
    clock = jax_device.CompileClock()

    def make_handlers() -> dict[str, child.Handler]:
        try:
            return build(args, clock).handlers()
        except (configuration.ConfigError, spec.DatasetError) as error:
            sys.exit(str(error))

    child.serve(make_handlers)


if __name__ == "__main__":
    main()

"""Ramps and freezes over the number of training steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class StepCounter(keras.layers.Layer):
    """Counts training steps in a weight, so that any backend and a resumed run can."""

    def build(self, input_shape: Any = None) -> None:
        """Creates the count, a scalar."""
        self.begun = self.add_weight(
            shape=(),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="begun",
        )
        self.built = True

    def advance(self) -> None:
        """Notes that a step begins."""
        self.begun.assign_add(1.0)

    def done(self) -> Tensor:
        """Number of steps that are over, float32 scalar."""
        return ops.maximum(ops.convert_to_tensor(self.begun) - 1.0, 0.0)

    def progress(self, num_steps: int) -> Tensor:
        """Share of the first `num_steps` steps that is done, from 0 to 1."""
        return ops.minimum(self.done() / num_steps, 1.0)


def dann_ramp(progress: Tensor) -> Tensor:
    """2 / (1 + exp(-10 t)) - 1, from 0 to about 1 (Ganin and Lempitsky, 2015)."""
    return 2 / (1 + ops.exp(-10 * progress)) - 1

"""Moving averages of weights, to compute with in their stead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="s4rec_tf")
class MovingAverage(keras.layers.Layer):
    """An average of some weights over the training steps, the latest counting most.

    Args:
        decay: share of the average that a step leaves, in [0, 1).
    """

    def __init__(self, decay: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.decay = decay

    def start(self, variables: Sequence[Any]) -> None:
        """Starts the average at the present values of the weights.

        Args:
            variables: the weights, which every call must name again.
        """
        self.averages = [
            self.add_weight(
                shape=variable.shape,
                initializer=lambda shape, dtype, v=variable: ops.cast(
                    ops.convert_to_tensor(v), dtype
                ),
                dtype="float32",
                trainable=False,
                aggregation="mean",
                name=f"average_{number}",
            )
            for number, variable in enumerate(variables)
        ]
        self.built = True

    def advance(self, variables: Sequence[Any]) -> None:
        """Moves the average on by a step."""
        for average, variable in zip(self.averages, variables, strict=True):
            step = ops.convert_to_tensor(variable) - ops.convert_to_tensor(average)
            average.assign_add((1 - self.decay) * ops.stop_gradient(step))

    def in_place_of(self, variables: Sequence[Any]) -> keras.StatelessScope:
        """A context in which reading a weight gives its average."""
        values = [ops.convert_to_tensor(average) for average in self.averages]
        return keras.StatelessScope(
            state_mapping=list(zip(variables, values, strict=True))
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "decay": self.decay}

"""Gradient reversal (S4Rec, section 4.3; Ganin and Lempitsky, ICML 2015)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GradientReversal(keras.layers.Layer):
    """Identity forward; backward multiplies the gradient by -gamma.

    Args:
        gamma: how much of the reversed gradient reaches what lies before.
    """

    def __init__(self, gamma: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma

    def call(self, inputs: Tensor, scale: Tensor = 1.0) -> Tensor:
        """Returns `inputs`, whose gradient will be multiplied by -gamma * scale."""
        scaled = ops.cast(self.gamma * scale, inputs.dtype) * inputs
        # The bracket is exactly zero, and its derivative is that of -scaled.
        return ops.stop_gradient(inputs) + (ops.stop_gradient(scaled) - scaled)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "gamma": self.gamma}

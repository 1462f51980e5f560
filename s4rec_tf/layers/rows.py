"""Layers over rows whose bias-like weights have a fast gradient.

The gradient of a vector that is added to every row is a sum over rows, which XLA's CPU
compiler does one element after another. As a product with a matrix of ones it runs at
the rate of the other products.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


def repeat_rows(vector: Tensor, num_rows: Tensor) -> Tensor:
    """One vector as every row of a matrix.

    Args:
        vector: [d].
        num_rows: N.

    Returns:
        [N, d].
    """

    @ops.custom_gradient
    def repeated(values: Tensor) -> tuple[Tensor, Any]:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            of_rows = args[0] if upstream is None else upstream
            # With a single row of ones the compiler would make a sum of it again.
            ones = ops.ones((2, num_rows), dtype=of_rows.dtype)
            return ops.matmul(ones, of_rows)[:1]

        return ops.broadcast_to(values, (num_rows, values.shape[1])), gradient

    return repeated(ops.reshape(vector, (1, -1)))


class Dense(keras.layers.Dense):
    """`activation(x W + b)` of rows [N, d]."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """[N, d] -> [N, units]."""
        products = ops.matmul(inputs, self.kernel)
        outputs = products + repeat_rows(self.bias, ops.shape(inputs)[0])
        return outputs if self.activation is None else self.activation(outputs)


class LayerNormalization(keras.layers.LayerNormalization):
    """Normalises rows [N, d], computing in float32."""

    def call(self, inputs: Tensor) -> Tensor:
        """[N, d] -> [N, d]."""
        values = ops.cast(inputs, "float32")
        centred = values - ops.mean(values, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        normalized = centred * ops.rsqrt(variance + self.epsilon)
        num_rows = ops.shape(inputs)[0]
        gamma, beta = (
            repeat_rows(ops.cast(weight, "float32"), num_rows)
            for weight in (self.gamma, self.beta)
        )
        return ops.cast(normalized * gamma + beta, inputs.dtype)

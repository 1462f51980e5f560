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


def add_to_rows(rows: Tensor, vector: Tensor) -> Tensor:
    """Rows [N, d] plus a vector [d]."""

    @ops.custom_gradient
    def added(rows: Tensor, vector: Tensor) -> tuple[Tensor, Any]:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Any:
            of_rows = args[0] if upstream is None else upstream
            return of_rows, _sum_of_rows(of_rows)

        return rows + vector, gradient

    return added(rows, ops.reshape(vector, (-1,)))


def scale_rows(rows: Tensor, vector: Tensor) -> Tensor:
    """Rows [N, d] times a vector [d], element by element."""

    @ops.custom_gradient
    def scaled(rows: Tensor, vector: Tensor) -> tuple[Tensor, Any]:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Any:
            of_rows = args[0] if upstream is None else upstream
            return of_rows * vector, _sum_of_rows(of_rows * rows)

        return rows * vector, gradient

    return scaled(rows, ops.reshape(vector, (-1,)))


def _sum_of_rows(rows: Tensor) -> Tensor:
    """[N, d] -> [d]."""
    # With a single row of ones the compiler would make a sum of it again.
    ones = ops.ones((2, ops.shape(rows)[0]), dtype=rows.dtype)
    return ops.matmul(ones, rows)[0]


class FastGradDense(keras.layers.Dense):
    """`activation(x W + b)` of rows [N, d]."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """[N, d] -> [N, units]."""
        products = ops.matmul(inputs, self.kernel)
        outputs = add_to_rows(products, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


class FastGradLayerNormalization(keras.layers.LayerNormalization):
    """Normalises rows [N, d], computing in float32."""

    def call(self, inputs: Tensor) -> Tensor:
        """[N, d] -> [N, d]."""
        values = ops.cast(inputs, "float32")
        centred = values - ops.mean(values, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        normalized = centred * ops.rsqrt(variance + self.epsilon)
        gamma, beta = (
            ops.cast(weight, "float32") for weight in (self.gamma, self.beta)
        )
        scaled = add_to_rows(scale_rows(normalized, gamma), beta)
        return ops.cast(scaled, inputs.dtype)

"""Compiling of functions and layers; on other backends the caller's `jit` does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import keras

Tensor = Any
Function = TypeVar("Function", bound=Callable[..., Any])

IS_TENSORFLOW = keras.backend.backend() == "tensorflow"
"""True where shapes may depend on data, as they may in a TensorFlow graph."""


def compiled(function: Function) -> Function:
    """Compiles a function of tensors with XLA; its gradient is compiled too.

    Collectives must stay outside. Shapes should come from a small set, since every new
    one is compiled anew.
    """
    if not IS_TENSORFLOW:
        return function
    import tensorflow as tf

    return cast(Function, tf.function(function, jit_compile=True))


def compiled_layer(layer: keras.layers.Layer) -> Callable[..., Tensor]:
    """Compiles a layer with XLA; in eager execution it stays as it is.

    The layer's first input is a named tuple, whose first field is what a gradient is
    passed back to.

    Backward, its states are computed once more, beside their gradients in one program:
    a gradient compiled apart would read every one of them from memory, which takes
    longer. Calls with equal inputs must give equal outputs, and only that field and the
    layer's weights receive a gradient.

    Under a strategy each replica has weights of its own, and compiles for itself.
    """
    if not IS_TENSORFLOW:
        return layer
    import tensorflow as tf

    if tf.executing_eagerly():
        return layer
    constants = [weight.value for weight in layer.non_trainable_variables]

    def apply(weights: list[Tensor], first: Tensor, places: Any, *rest: Tensor) -> Any:
        batch = places._replace(**{places._fields[0]: first})
        return layer.stateless_call(weights, constants, batch, *rest)[0]

    def gradients(
        upstream: Tensor, weights: list[Tensor], first: Tensor, *rest: Any
    ) -> list[Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([first, *weights])
            output = apply(weights, first, *rest)
        found = tape.gradient(output, [first, *weights], upstream)
        return [tf.convert_to_tensor(gradient) for gradient in found]

    forward, backward = compiled(apply), compiled(gradients)

    def call(batch: Any, *rest: Tensor) -> Tensor:
        # The field that a gradient is passed back to goes by itself.
        rest = (batch._replace(**{batch._fields[0]: None}), *rest)

        @tf.custom_gradient
        def of_differentiable(first: Tensor, *weights: Tensor) -> tuple[Tensor, Any]:
            # Hidden from the tape: what it would keep is computed again.
            hidden = [tf.stop_gradient(tensor) for tensor in (*weights, first)]
            output = forward(hidden[:-1], hidden[-1], *rest)
            return output, lambda upstream: backward(
                upstream, list(weights), first, *rest
            )

        weights = [tf.convert_to_tensor(w.value) for w in layer.trainable_variables]
        return of_differentiable(batch[0], *weights)

    return call

"""Layers over rows compute what Keras' own do, with the same gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf.layers import fast_gradients

ROWS, WIDTH, UNITS = 37, 6, 5


def _copies(name: str) -> tuple[Any, Any]:
    """Our layer and Keras' own, with the same weights."""
    arguments = {
        "Dense": {"units": UNITS, "activation": "gelu"},
        "LayerNormalization": {"epsilon": 1e-6},
    }[name]
    ours = getattr(fast_gradients, f"FastGrad{name}")(**arguments)
    keras_own = getattr(keras.layers, name)(**arguments)
    generator = np.random.default_rng(3)
    for layer in (ours, keras_own):
        layer.build((None, WIDTH))
    weights = [generator.normal(size=w.shape) for w in ours.get_weights()]
    ours.set_weights(weights)
    keras_own.set_weights(weights)
    return ours, keras_own


@pytest.mark.parametrize("name", ["Dense", "LayerNormalization"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_outputs_and_gradients_are_those_of_keras(name: str, jit_compile: bool) -> None:
    generator = np.random.default_rng(4)
    inputs = tf.constant(generator.normal(size=(ROWS, WIDTH)), tf.float32)

    def run(layer: Any) -> list[np.ndarray]:
        @tf.function(jit_compile=jit_compile)
        def outputs_and_gradients() -> list[Any]:
            variables = [weight.value for weight in layer.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs)
                total = tf.reduce_sum(tf.sin(outputs))
            return [outputs, *tape.gradient(total, [inputs, *variables])]

        return [np.asarray(tensor) for tensor in outputs_and_gradients()]

    for found, expected in zip(*map(run, _copies(name)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_sum_over_rows_is_not_taken_element_by_element() -> None:
    ours, _ = _copies("Dense")
    inputs = tf.ones((ROWS, WIDTH))

    @tf.function(jit_compile=True)
    def bias_gradient(values: Any) -> Any:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.sin(ours(values)))
        return tape.gradient(total, ours.bias.value)

    program = bias_gradient.experimental_get_compiler_ir(inputs)("optimized_hlo")
    assert "reduce-window" not in program

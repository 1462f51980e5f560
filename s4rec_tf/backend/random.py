"""Random numbers that are a function of a key, by the backend's own generators.

A key is an integer tensor [2] on TensorFlow, and a key of `jax.random` on JAX.
"""

from __future__ import annotations

from typing import Any

from s4rec_tf.backend.compile import IS_TENSORFLOW

Tensor = Any
Shape = tuple[int, ...]


def split(key: Tensor, count: int) -> list[Tensor]:
    """Splits a key into independent ones."""
    if IS_TENSORFLOW:
        import tensorflow as tf

        return list(tf.unstack(tf.random.experimental.stateless_split(key, count)))
    import jax

    return list(jax.random.split(key, count))


def uniform(key: Tensor, shape: Shape) -> Tensor:
    """Draws from [0, 1), float32 of a shape."""
    if IS_TENSORFLOW:
        import tensorflow as tf

        return tf.random.stateless_uniform(shape, key)
    import jax

    return jax.random.uniform(key, shape)


def integers(key: Tensor, shape: Shape, low: int, high: int) -> Tensor:
    """Draws whole numbers from [low, high), int32 of a shape."""
    if IS_TENSORFLOW:
        import tensorflow as tf

        return tf.random.stateless_uniform(shape, key, low, high, dtype=tf.int32)
    import jax

    return jax.random.randint(key, shape, low, high, "int32")

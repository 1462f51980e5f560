"""Vectors of length one."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

_LEAST_SQUARE = 1e-12


def unit(vectors: Tensor) -> Tensor:
    """Divides vectors [..., d] by their length; zero vectors stay zero.

    On some backends Keras' own `normalize` has no finite gradient there.
    """
    square = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, _LEAST_SQUARE))

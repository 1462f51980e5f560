"""Dropout whose noise is a hash of a counter."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Tensor = Any


class HashDropout:
    """Zeroes elements at random and scales the rest; each call draws anew.

    Element i of call c is kept if a 32-bit hash of i plus a number drawn from (seed, c)
    is at least `rate * 2**32`. A compiler fuses these few integer operations with their
    surroundings; drawing from a random generator costs more than the layers between.

    Args:
        rate: share of elements that become zero, in [0, 1).
        seed: uint32 [2]; equal seeds give equal noise.
    """

    def __init__(self, rate: float, seed: Tensor) -> None:
        self.rate, self.calls = rate, 0
        self.key = ops.cast(seed, "uint32")

    def __call__(self, inputs: Tensor) -> Tensor:
        """Values of any shape -> the same shape."""
        self.calls += 1
        shape = ops.shape(inputs)
        # Counted in the shape of the inputs: flattening them would leave the compiler
        # with a division for every element.
        counter = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
        call = self.key[0] + _constant(0x9E3779B9 * self.calls)
        stream = _hash(_hash(call) + self.key[1])
        noise = _hash(ops.cast(counter, "uint32") + stream)
        is_kept = noise >= _constant(int(self.rate * 2**32))
        return ops.where(is_kept, inputs / (1 - self.rate), ops.zeros_like(inputs))


def _constant(value: int) -> Tensor:
    return ops.convert_to_tensor(value % 2**32, dtype="uint32")


def _hash(values: Tensor) -> Tensor:
    """Wellons' "lowbias32": every input bit flips every output bit about half the time."""  # noqa: E501
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        values = ops.bitwise_xor(values, ops.right_shift(values, _constant(shift)))
        values = values * _constant(factor)
    return ops.bitwise_xor(values, ops.right_shift(values, _constant(16)))

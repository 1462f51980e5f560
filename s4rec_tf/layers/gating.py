"""The two gates of HGN (Ma, Kang and Liu, KDD 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class FeatureGate(keras.layers.Layer):
    """Feature gating: S * sigmoid(W_g1 S + W_g2 u + b_g), per item and feature.

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Creates W_g1, W_g2 [d, d] and b_g [d]."""
        shape = (self.dim, self.dim)
        self.of_items = self.add_weight(shape=shape, name="of_items")
        self.of_user = self.add_weight(shape=shape, name="of_user")
        self.bias = self.add_weight(shape=(self.dim,), initializer="zeros", name="bias")
        self.built = True

    def call(self, items: Tensor, users: Tensor) -> Tensor:
        """S [N, L, d] and u [N, d] -> S^F [N, L, d]."""
        by_user = ops.matmul(users, self.of_user)[:, None]
        gates = ops.matmul(items, self.of_items) + by_user + self.bias
        return items * ops.sigmoid(gates)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable(package="s4rec_tf")
class InstanceGate(keras.layers.Layer):
    """Instance gating: sigmoid(w_g3 . S^F + W_g4 u), a number for each item.

    Args:
        dim: d.
        length: L; items at the same place of their window share a row of W_g4.
    """

    def __init__(self, dim: int, length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.length = dim, length

    def build(self, input_shape: Any = None) -> None:
        """Creates w_g3 [d, 1] and W_g4 [d, L]."""
        self.of_items = self.add_weight(shape=(self.dim, 1), name="of_items")
        self.of_user = self.add_weight(shape=(self.dim, self.length), name="of_user")
        self.built = True

    def call(self, gated: Tensor, users: Tensor) -> Tensor:
        """S^F [N, L, d] and u [N, d] -> [N, L]."""
        by_item = ops.matmul(gated, self.of_items)[..., 0]
        return ops.sigmoid(by_item + ops.matmul(users, self.of_user))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "length": self.length}

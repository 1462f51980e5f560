"""Encoders of a history by its item vectors: the students of SSI."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf.layers.gating import FeatureGate, InstanceGate

Tensor = Any

_LEAST = 1e-9


class _Student(keras.layers.Layer):
    """Dropout on the item vectors, an encoder, and a linear layer behind it.

    Args:
        dim: d.
        dropout: rate.
    """

    def __init__(self, dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.rate = dim, dropout
        self.dropout = keras.layers.Dropout(dropout)
        self.output_layer = keras.layers.Dense(dim, name="output")

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        self.output_layer.build((None, self.dim))
        self.built = True

    def call(self, vectors: Tensor, is_real: Tensor, training: bool = False) -> Tensor:
        """Item vectors [B, L, d] and bool [B, L], left-padded -> [B, d]."""
        vectors = self.dropout(vectors, training=training)
        vectors = vectors * ops.cast(is_real, vectors.dtype)[..., None]
        return self.output_layer(self.encode(vectors, is_real))

    def encode(self, vectors: Tensor, is_real: Tensor) -> Tensor:
        """Vectors that are zero at padding -> [B, d]."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "dropout": self.rate}


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GRUStudent(_Student):
    """The last state of a GRU (GRU4Rec, Hidasi et al., ICLR 2016)."""

    def __init__(self, dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(dim, dropout, **kwargs)
        self.gru = keras.layers.GRU(dim)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        self.gru.build((None, None, self.dim))
        super().build()

    def encode(self, vectors: Tensor, is_real: Tensor) -> Tensor:
        """The state, which stays zero at padding."""
        return self.gru(vectors, mask=is_real)


@keras.saving.register_keras_serializable(package="s4rec_tf")
class HGNStudent(_Student):
    """The gates of HGN (Ma, Kang and Liu, KDD 2019) over the last items.

    The user is the mean of the history's item vectors, so that no user is unknown.

    Args:
        dim: d.
        dropout: rate.
        window: items that are gated, the last ones.
    """

    def __init__(self, dim: int, dropout: float, window: int, **kwargs: Any) -> None:
        super().__init__(dim, dropout, **kwargs)
        self.window = window
        self.feature_gate = FeatureGate(dim)
        self.instance_gate = InstanceGate(dim, window)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        self.feature_gate.build()
        self.instance_gate.build()
        super().build()

    def encode(self, vectors: Tensor, is_real: Tensor) -> Tensor:
        """User, mean of the gated items, and sum of the items."""
        number = ops.sum(ops.cast(is_real, vectors.dtype), axis=1)[:, None]
        user = ops.sum(vectors, axis=1) / ops.maximum(number, 1.0)
        # Padded first, for histories may be narrower than the window.
        missing = [self.window, 0]
        window = ops.pad(vectors, [[0, 0], missing, [0, 0]])[:, -self.window :]
        is_there = ops.pad(is_real, [[0, 0], missing])[:, -self.window :]
        gated = self.feature_gate(window, user)
        gates = self.instance_gate(gated, user) * ops.cast(is_there, gated.dtype)
        total = ops.maximum(ops.sum(gates, axis=1)[:, None], _LEAST)
        pooled = ops.sum(gated * gates[..., None], axis=1) / total
        return user + pooled + ops.sum(window, axis=1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "window": self.window}

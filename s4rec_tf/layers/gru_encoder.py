"""A GRU over item vectors, to which padding on the left is nothing."""

from __future__ import annotations

from typing import Any

import keras

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GRUEncoder(keras.layers.Layer):
    """The last state of a GRU, as in GRU4Rec (Hidasi et al., ICLR 2016).

    Args:
        dim: d.
        dropout: rate, on the item vectors.
    """

    def __init__(self, dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.rate = dim, dropout
        self.gru = keras.layers.GRU(dim, reset_after=True)
        self.dropout = keras.layers.Dropout(dropout)
        self.output_layer = keras.layers.Dense(dim, name="output")

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        self.gru.build((None, None, self.dim))
        self.output_layer.build((None, self.dim))
        self.built = True

    def call(self, vectors: Tensor, is_real: Tensor, training: bool = False) -> Tensor:
        """Item vectors [B, L, d] and bool [B, L] -> [B, d]."""
        vectors = self.dropout(vectors, training=training)
        states = self.gru(vectors, mask=is_real, training=training)
        return self.output_layer(states)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "dropout": self.rate}

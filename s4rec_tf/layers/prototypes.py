"""Intents: trainable prototypes and the soft assignment to them (S4Rec, 4.1)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Prototypes(keras.layers.Layer):
    """K trainable prototypes mu, one a row.

    Args:
        num_intents: K.
        dim: d.
        tau_1: temperature of the soft assignment, Eq. 3.
        normalize: whether z and mu are L2-normalised first, as in SwAV.
    """

    def __init__(
        self,
        num_intents: int,
        dim: int,
        tau_1: float,
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_intents, self.dim = num_intents, dim
        self.tau_1, self.normalize = tau_1, normalize

    def build(self, input_shape: Any = None) -> None:
        """Creates mu [K, d]."""
        self.mu = self.add_weight(
            shape=(self.num_intents, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            name="mu",
        )
        self.built = True

    def call(self, z: Tensor) -> Tensor:
        """Similarities z mu^T of embeddings [B, d] to the prototypes, [B, K]."""
        if not self.normalize:
            return ops.matmul(z, ops.transpose(self.mu))
        return ops.matmul(
            ops.normalize(z, axis=-1), ops.transpose(ops.normalize(self.mu, axis=-1))
        )

    def log_assignment(self, similarities: Tensor) -> Tensor:
        """Eq. 3: log p = log softmax(z mu^T / tau_1), [B, K]."""
        return ops.log_softmax(similarities / self.tau_1, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "num_intents": self.num_intents,
            "dim": self.dim,
            "tau_1": self.tau_1,
            "normalize": self.normalize,
        }

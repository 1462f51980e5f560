"""Intents: prototypes and the assignment of sequences to them (S4Rec, 4.1)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from s4rec_tf import backend
from s4rec_tf.clustering import kmeans

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Prototypes(keras.layers.Layer):
    """K prototypes mu, one a row.

    With `trainable=False` they are no parameters but centroids that `refit` sets.

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

    def vectors(self, is_frozen: Tensor = False) -> Tensor:
        """The rows mu [K, d]; where `is_frozen`, a scalar, is True without gradient."""
        mu = ops.convert_to_tensor(self.mu)
        if is_frozen is False:
            return mu
        return ops.where(is_frozen, ops.stop_gradient(mu), mu)

    def call(self, z: Tensor, mu: Tensor | None = None) -> Tensor:
        """Similarities z mu^T of embeddings [B, d] to the prototypes, [B, K]."""
        mu = self.vectors() if mu is None else mu
        if not self.normalize:
            return ops.matmul(z, ops.transpose(mu))
        return ops.matmul(
            backend.l2_normalize(z), ops.transpose(backend.l2_normalize(mu))
        )

    def log_assignment(self, similarities: Tensor) -> Tensor:
        """Eq. 3: log p = log softmax(z mu^T / tau_1), [B, K]."""
        return ops.log_softmax(similarities / self.tau_1, axis=-1)

    def nearest(self, similarities: Tensor) -> Tensor:
        """The prototype at the least distance, of [B, K] similarities, int [B]."""
        if self.normalize:
            return ops.argmax(similarities, axis=-1)
        half_squares = ops.sum(ops.square(self.vectors()), axis=-1) / 2
        return ops.argmax(similarities - half_squares, axis=-1)

    def refit(self, z: np.ndarray, generator: np.random.Generator) -> None:
        """Makes the prototypes the K-means centroids of embeddings (Table 3).

        Args:
            z: one row a sequence [N, d]; L2-normalised first if `normalize`.
            generator: the randomness of the start.
        """
        if self.normalize:
            z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        self.mu.assign(kmeans(z, self.num_intents, generator))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "num_intents": self.num_intents,
            "dim": self.dim,
            "tau_1": self.tau_1,
            "normalize": self.normalize,
        }

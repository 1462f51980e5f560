"""Intentions behind a sequence of states (DSSRec, section 3.3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any

_LEFT_OUT = -1e9


@keras.saving.register_keras_serializable(package="s4rec_tf")
class IntentionDisentanglement(keras.layers.Layer):
    """K vectors of a sequence, one for each latent category of intentions.

    Position embeddings are counted from the end, so that padding on the left changes
    none of them.

    Args:
        max_length: L.
        dim: D.
        num_intents: K.
    """

    def __init__(
        self, max_length: int, dim: int, num_intents: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_length, self.dim, self.num_intents = max_length, dim, num_intents
        self.norms = [
            keras.layers.LayerNormalization(epsilon=1e-6, name=f"layer_norm_{number}")
            for number in range(1, 6)
        ]
        self.key = keras.layers.Dense(dim, activation="relu", name="key")

    def build(self, input_shape: Any = None) -> None:
        """Creates c [K, D], alpha [L, D], b' [D] and both sets of beta [K, D]."""

        def vectors(name: str, *shape: int, **kwargs: Any) -> Any:
            return self.add_weight(shape=shape, name=name, **kwargs)

        of_unit_length = keras.initializers.RandomNormal(stddev=self.dim**-0.5)
        small = keras.initializers.TruncatedNormal(stddev=0.02)
        self.prototypes = vectors(
            "prototypes", self.num_intents, self.dim, initializer=of_unit_length
        )
        self.positions = vectors(
            "positions", self.max_length, self.dim, initializer=small
        )
        self.query_bias = vectors("query_bias", self.dim, initializer="zeros")
        self.past_bias, self.future_bias = (
            vectors(name, self.num_intents, self.dim, initializer=small)
            for name in ("past_bias", "future_bias")
        )
        for norm in self.norms:
            norm.build((None, self.dim))
        self.key.build((None, self.dim))
        self.built = True

    def call(self, states: Tensor, is_real: Tensor, of_future: bool = False) -> Tensor:
        """Intention aggregation (Eq. 12): phi_k = LN5(beta_k + sum_i p_k|i p_i z_i).

        Args:
            states: z [B, L, D].
            is_real: bool [B, L]; True where a state is an item's.
            of_future: whether these are reversed futures, which have a beta of their
                own.

        Returns:
            phi [B, K, D].
        """
        states = states * ops.cast(is_real, states.dtype)[..., None]
        weights = self.importance(states, is_real)[..., None]
        weights = weights * self.assignment(states)
        sums = ops.matmul(ops.swapaxes(weights, 1, 2), states)
        bias = self.future_bias if of_future else self.past_bias
        return self.norms[4](ops.cast(bias, sums.dtype) + sums)

    def assignment(self, states: Tensor) -> Tensor:
        """Intention clustering (Eq. 9): p_k|i = softmax_k(LN1(z_i) LN2(c_k) / sqrt D).

        Args:
            states: z [B, L, D].

        Returns:
            [B, L, K].
        """
        prototypes = self.norms[1](ops.convert_to_tensor(self.prototypes))
        products = ops.matmul(self.norms[0](states), ops.transpose(prototypes))
        return ops.softmax(products / self.dim**0.5, axis=-1)

    def importance(self, states: Tensor, is_real: Tensor) -> Tensor:
        """Intention weighting (Eqs. 10-11): p_i = softmax_i(key_i query / sqrt D).

        key_i = k_i + ReLU(W k_i + b) with k_i = LN3(alpha_i + z_i);
        query = LN4(alpha_t + z_t + b').

        Args:
            states: z [B, L, D]; the last position is t.
            is_real: bool [B, L].

        Returns:
            [B, L].
        """
        positions = ops.cast(self.positions, states.dtype)
        placed = states + positions[self.max_length - states.shape[1] :]
        keys = self.norms[2](placed)
        keys = keys + self.key(keys)
        query = placed[:, -1] + ops.cast(self.query_bias, placed.dtype)
        products = ops.matmul(keys, self.norms[3](query)[..., None])[..., 0]
        products = ops.where(is_real, products / self.dim**0.5, _LEFT_OUT)
        return ops.softmax(products, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "dim": self.dim,
            "num_intents": self.num_intents,
        }

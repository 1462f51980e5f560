"""The self-attentive encoder of SASRec."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf.layers import masks

Tensor = Any

_BLOCKED = -1e9


def _dense(units: int, **kwargs: Any) -> keras.layers.Dense:
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    return keras.layers.Dense(units, kernel_initializer=initializer, **kwargs)


@keras.saving.register_keras_serializable(package="s4rec_tf")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and a feed-forward part, each `norm(x + dropout(part(x)))`.

    Args:
        dim: d.
        num_heads: heads; must divide d.
        dropout: rate on attention weights and on the output of both parts.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(
                f"`num_heads` must divide `dim`. Received: num_heads={num_heads}, "
                f"dim={dim}"
            )
        self.dim, self.num_heads, self.rate = dim, num_heads, dropout
        self.query_key_value = _dense(3 * dim, name="query_key_value")
        self.attention_output = _dense(dim, name="attention_output")
        self.inner = _dense(4 * dim, activation="gelu", name="inner")
        self.outer = _dense(dim, name="outer")
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.attention_dropout = keras.layers.Dropout(dropout)
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; all shapes follow from `dim`."""
        for layer in (self.query_key_value, self.attention_output, self.inner):
            layer.build((None, None, self.dim))
        self.outer.build((None, None, 4 * self.dim))
        for norm in (self.attention_norm, self.feed_forward_norm):
            norm.build((None, None, self.dim))
        for dropout in (self.attention_dropout, self.dropout):
            dropout.build((None, None, self.dim))
        self.built = True

    def call(
        self, states: Tensor, may_attend: Tensor, training: bool = False
    ) -> Tensor:
        """One block.

        Args:
            states: [B, L, d].
            may_attend: bool [B, 1, L, L]; True where query i may look at key j.
            training: whether dropout is on.

        Returns:
            [B, L, d].
        """
        attended = self._attend(states, may_attend, training)
        states = self.attention_norm(states + self.dropout(attended, training=training))
        fed = self.outer(self.inner(states))
        return self.feed_forward_norm(states + self.dropout(fed, training=training))

    def _attend(self, states: Tensor, may_attend: Tensor, training: bool) -> Tensor:
        batch, length = ops.shape(states)[0], ops.shape(states)[1]
        head_dim = self.dim // self.num_heads
        parts = ops.reshape(
            self.query_key_value(states), (batch, length, 3, self.num_heads, head_dim)
        )
        query, key, value = ops.unstack(
            ops.transpose(parts, (2, 0, 3, 1, 4)), num=3, axis=0
        )
        scores = ops.matmul(query, ops.swapaxes(key, 2, 3)) / head_dim**0.5
        weights = ops.softmax(ops.where(may_attend, scores, _BLOCKED), axis=-1)
        weights = self.attention_dropout(weights, training=training)
        context = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.attention_output(ops.reshape(context, (batch, length, self.dim)))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
            "dropout": self.rate,
        }


@keras.saving.register_keras_serializable(package="s4rec_tf")
class CausalTransformer(keras.layers.Layer):
    """Position embedding and a stack of causal blocks (SASRec, ICDM 2018).

    Positions are counted from the end of the sequence, so that the last item stands at
    the same position whatever the length, and a narrower input needs no other weights.

    Args:
        max_length: L, the longest input.
        dim: d.
        num_layers: blocks.
        num_heads: heads of each block.
        dropout: rate.
    """

    def __init__(
        self,
        max_length: int,
        dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_length, self.dim, self.rate = max_length, dim, dropout
        self.num_layers, self.num_heads = num_layers, num_heads
        self.input_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.dropout = keras.layers.Dropout(dropout)
        self.blocks = [
            TransformerBlock(dim, num_heads, dropout, name=f"block_{number}")
            for number in range(num_layers)
        ]

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; all shapes follow from the constructor's arguments."""
        self.positions = self.add_weight(
            shape=(self.max_length, self.dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="positions",
        )
        self.input_norm.build((None, None, self.dim))
        self.dropout.build((None, None, self.dim))
        for block in self.blocks:
            block.build()
        self.built = True

    def call(self, vectors: Tensor, item_ids: Tensor, training: bool = False) -> Tensor:
        """Encodes embedded sequences.

        Args:
            vectors: item vectors [B, l, d], l <= L.
            item_ids: int32 [B, l], left-padded; says which positions are real.
            training: whether dropout is on.

        Returns:
            states [B, l, d]; those at padding mean nothing.
        """
        length = ops.shape(vectors)[1]
        positions = self.positions[self.max_length - length :]
        states = self.input_norm(vectors + ops.cast(positions, vectors.dtype))
        states = self.dropout(states, training=training)
        may_attend = masks.may_attend(item_ids)
        for block in self.blocks:
            states = block(states, may_attend, training=training)
        return states

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "dim": self.dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.rate,
        }

"""The self-attentive encoder of SASRec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from s4rec_tf import backend
from s4rec_tf.layers import masks
from s4rec_tf.layers.dropout import HashDropout
from s4rec_tf.layers.fast_gradients import FastGradDense, FastGradLayerNormalization
from s4rec_tf.layers.packing import PackedBatch

Tensor = Any
Dropout = Callable[[Tensor], Tensor]

_BLOCKED = -1e9
_OTHER_SEED = 0x5BD1E995
# Large enough that a state which dropout has emptied gives no infinite gradient.
EPSILON = 1e-6


def _dense(units: int, **kwargs: Any) -> FastGradDense:
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    return FastGradDense(units, kernel_initializer=initializer, **kwargs)


@keras.saving.register_keras_serializable(package="s4rec_tf")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and a feed-forward part, each `norm(x + dropout(part(x)))`.

    Args:
        dim: d.
        num_heads: heads; must divide d.
    """

    def __init__(self, dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(
                f"`num_heads` must divide `dim`. Received: num_heads={num_heads}, "
                f"dim={dim}"
            )
        self.dim, self.num_heads = dim, num_heads
        self.query_key_value = _dense(3 * dim, name="query_key_value")
        self.attention_output = _dense(dim, name="attention_output")
        self.inner = _dense(4 * dim, activation="gelu", name="inner")
        self.outer = _dense(dim, name="outer")
        self.attention_norm = FastGradLayerNormalization(epsilon=EPSILON)
        self.feed_forward_norm = FastGradLayerNormalization(epsilon=EPSILON)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; all shapes follow from `dim`."""
        for layer in (self.query_key_value, self.attention_output, self.inner):
            layer.build((None, self.dim))
        self.outer.build((None, 4 * self.dim))
        for norm in (self.attention_norm, self.feed_forward_norm):
            norm.build((None, self.dim))
        self.built = True

    def call(
        self,
        states: Tensor,
        may_attend: Tensor,
        dropout: Dropout,
        attention_dropout: Dropout,
        query_positions: Tensor | None = None,
        **further: Tensor,
    ) -> Tensor:
        """One block.

        Args:
            states: [G C, d].
            may_attend: bool [G, 1, C, C]; True where query i may look at key j.
            dropout: applied to the output of both parts.
            attention_dropout: applied to attention weights.
            query_positions: slots whose states are returned, int32 [N]; None for all.
            **further: of `Transformer.block_arguments`.

        Returns:
            [G C, d], or [N, d].
        """
        states = self.mix(
            states, may_attend, dropout, attention_dropout, query_positions, **further
        )
        fed = self.outer(self.inner(states))
        return self.feed_forward_norm(states + dropout(fed))

    def mix(
        self,
        states: Tensor,
        may_attend: Tensor,
        dropout: Dropout,
        attention_dropout: Dropout,
        query_positions: Tensor | None = None,
    ) -> Tensor:
        """The part of a block in which slots look at each other; as `call`."""
        context = self._attend(states, may_attend, attention_dropout)
        if query_positions is not None:
            states = ops.take(states, query_positions, axis=0)
            context = ops.take(context, query_positions, axis=0)
        attended = self.attention_output(context)
        return self.attention_norm(states + dropout(attended))

    def _attend(self, states: Tensor, may_attend: Tensor, dropout: Dropout) -> Tensor:
        width, head_dim = ops.shape(may_attend)[-1], self.dim // self.num_heads
        by_head = (-1, width, self.num_heads, head_dim)
        query, key, value = (
            ops.transpose(ops.reshape(part, by_head), (0, 2, 1, 3))
            for part in ops.split(self.query_key_value(states), 3, axis=-1)
        )
        scores = backend.product(query, key, transpose_b=True) / head_dim**0.5
        weights = dropout(ops.softmax(ops.where(may_attend, scores, _BLOCKED), axis=-1))
        context = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(context, (-1, self.dim))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
        }


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Transformer(keras.layers.Layer):
    """Position embedding and a stack of blocks (SASRec, ICDM 2018).

    Positions are counted from the end of the sequence, so that the last item has
    the same position whatever the length, and a narrower input needs no other weights.

    Args:
        max_length: L, the longest input.
        dim: d.
        num_layers: blocks.
        num_heads: heads of each block.
        dropout: rate, on the embedding and every part's output.
        is_causal: whether a state depends on no later item (SASRec), or on the whole
            sequence (BERT4Rec). A change affects later traces alone.
        attention_dropout: rate on attention weights; None for that of `dropout`.
    """

    def __init__(
        self,
        max_length: int,
        dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        is_causal: bool = True,
        attention_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.is_causal, self.attention_rate = is_causal, attention_dropout
        self.max_length, self.dim, self.rate = max_length, dim, dropout
        self.num_layers, self.num_heads = num_layers, num_heads
        self.seed_generator = keras.random.SeedGenerator()
        self.input_norm = FastGradLayerNormalization(epsilon=EPSILON)
        self.blocks = [self.make_block(f"block_{n}") for n in range(num_layers)]

    def make_block(self, name: str) -> TransformerBlock:
        """A block of the stack."""
        return TransformerBlock(self.dim, self.num_heads, name=name)

    def block_arguments(self, batch: PackedBatch) -> dict[str, Tensor]:
        """Further arguments of every block."""
        return {}

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; all shapes follow from the constructor's arguments."""
        self.positions = self.add_weight(
            shape=(self.max_length, self.dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="positions",
        )
        self.input_norm.build((None, self.dim))
        for block in self.blocks:
            block.build()
        self.built = True

    def call(
        self,
        batch: PackedBatch,
        query_positions: Tensor | None = None,
        seed: Tensor | None = None,
    ) -> Tensor:
        """Encodes embedded sequences.

        Args:
            batch: item vectors of width d, and their places.
            query_positions: slots whose states are returned, int32 [N]; the last block
                computes no others. None for all.
            seed: of dropout, uint32 [2], from `seed_generator`; None turns it off.

        Returns:
            states [G C, d], or [N, d]; those of empty slots mean nothing.
        """
        dropout: Dropout = lambda values: values  # noqa: E731
        attention_dropout = dropout
        if seed is not None and self.rate:
            dropout = HashDropout(self.rate, seed)
        if self.attention_rate is None:
            attention_dropout = dropout
        elif seed is not None and self.attention_rate:
            # Another seed than that of `dropout`, whose parts' seeds are close by.
            attention_dropout = HashDropout(
                self.attention_rate, ops.bitwise_xor(seed, _OTHER_SEED)
            )
        places = ops.take(self.positions, batch.positions, axis=0)
        states = batch.vectors + ops.cast(places, batch.vectors.dtype)
        states = dropout(self.input_norm(ops.reshape(states, (-1, self.dim))))
        may_attend = masks.may_attend(batch.segments, self.is_causal)
        further = self.block_arguments(batch)
        for block in self.blocks:
            of_last = query_positions if block is self.blocks[-1] else None
            dropouts = {"dropout": dropout, "attention_dropout": attention_dropout}
            states = block(
                states, may_attend, **dropouts, query_positions=of_last, **further
            )
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
            "is_causal": self.is_causal,
            "attention_dropout": self.attention_rate,
        }

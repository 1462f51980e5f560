"""GREC's encoder, projector and decoder as one layer over packed sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from s4rec_tf.layers.dilated_convolution import ResidualBlock
from s4rec_tf.layers.dropout import HashDropout
from s4rec_tf.layers.fast_gradients import FastGradDense, FastGradLayerNormalization
from s4rec_tf.layers.packing import PackedBatch

Tensor = Any
Dropout = Callable[[Tensor], Tensor]


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GapFillingNetwork(keras.layers.Layer):
    """The encoder sees sequences with gaps, on both sides; the decoder whole ones.

    The state at a position comes from the decoder's input up to there and from the
    encoder's output there. It predicts the next item where that is a gap. Takes the
    place of `Transformer` in `encode_packed`.

    Args:
        max_length: L.
        dim: d.
        num_blocks: residual blocks of the encoder, and as many of the decoder, their
            dilations 1, 4, 1, 4 ..
        width: of the convolutions.
        dropout: rate, on the embedding and every block's output.
    """

    def __init__(
        self,
        max_length: int,
        dim: int,
        num_blocks: int,
        width: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_length, self.dim, self.rate = max_length, dim, dropout
        self.num_blocks, self.width = num_blocks, width
        self.seed_generator = keras.random.SeedGenerator()
        self.encoder_blocks, self.decoder_blocks = (
            [
                ResidualBlock(dim, width, (1, 4)[n % 2], is_causal, name=f"{name}_{n}")
                for n in range(num_blocks)
            ]
            for name, is_causal in (("encoder", False), ("decoder", True))
        )
        self.widening = FastGradDense(2 * dim, activation="relu", name="widening")
        self.narrowing = FastGradDense(dim, name="narrowing")
        self.input_norms = [FastGradLayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.output_norm = FastGradLayerNormalization(epsilon=1e-6)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        for block in (*self.encoder_blocks, *self.decoder_blocks):
            block.build()
        self.widening.build((None, self.dim))
        self.narrowing.build((None, 2 * self.dim))
        for norm in (*self.input_norms, self.output_norm):
            norm.build((None, self.dim))
        self.built = True

    def call(
        self,
        batch: PackedBatch,
        query_positions: Tensor | None = None,
        seed: Tensor | None = None,
    ) -> Tensor:
        """Encodes and decodes embedded sequences.

        Args:
            batch: vectors of the items with gaps and, behind, of the whole, of width
                2 d. Positions are unused, since convolutions are local.
            query_positions: slots whose states are returned, int32 [N]; None for all.
            seed: of dropout, uint32 [2]; None turns it off.

        Returns:
            states [G C, d], or [N, d]; those of empty slots mean nothing.
        """
        dropout: Dropout = lambda values: values  # noqa: E731
        if seed is not None and self.rate:
            dropout = HashDropout(self.rate, seed)
        encoded, whole = ops.split(batch.rows(), 2, axis=-1)
        encoded = dropout(self.input_norms[0](encoded))
        whole = dropout(self.input_norms[1](whole))
        for block in self.encoder_blocks:
            encoded = block(encoded, batch.segments, dropout=dropout)
        projected = encoded + self.narrowing(self.widening(encoded))
        states = whole + projected
        for block in self.decoder_blocks:
            states = block(states, batch.segments, dropout=dropout)
        states = self.output_norm(states)
        return (
            states
            if query_positions is None
            else ops.take(states, query_positions, axis=0)
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "dim": self.dim,
            "num_blocks": self.num_blocks,
            "width": self.width,
            "dropout": self.rate,
        }

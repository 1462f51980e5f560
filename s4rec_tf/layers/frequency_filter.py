"""Attention beside a filter over the sequence (BSARec, Shin et al., AAAI 2024).

The filter is the discrete Fourier transform over the L positions of a padded row,
written as a product, so that it works on packed sequences; padding counts as zero.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from s4rec_tf.layers import masks
from s4rec_tf.layers.fast_gradients import FastGradLayerNormalization
from s4rec_tf.layers.packing import PackedBatch
from s4rec_tf.layers.transformer import (
    EPSILON,
    Dropout,
    Transformer,
    TransformerBlock,
)

Tensor = Any


def low_frequency_basis(max_length: int, num_frequencies: int) -> np.ndarray:
    """Orthonormal sines and cosines of the lowest frequencies of L positions.

    The product of a basis and its transpose is what the inverse Fourier transform makes
    of a transform whose other frequencies are 0.

    Args:
        max_length: L.
        num_frequencies: c, the constant counted, at most L // 2 + 1.

    Returns:
        float32 [L, number of vectors].
    """
    angles = 2 * np.pi / max_length * np.arange(max_length)
    columns = [np.full(max_length, max_length**-0.5)]
    for number in range(1, num_frequencies):
        # The highest frequency of an even length has a cosine alone.
        waves = [np.cos(number * angles)]
        if 2 * number < max_length:
            waves.append(np.sin(number * angles))
        columns += [wave / np.linalg.norm(wave) for wave in waves]
    return np.stack(columns, axis=1).astype(np.float32)


@keras.saving.register_keras_serializable(package="s4rec_tf")
class BSARecBlock(TransformerBlock):
    """A share of the filter's output and the rest of attention's, then feed-forward.

    Definition (Eqs. 8-12 of BSARec): low + beta^2 high with beta [d] learned, dropout,
    residual and norm; share * that + (1 - share) * attention's part.

    Args:
        dim: d.
        num_heads: heads; must divide d.
        filter_share: alpha, share of the filter's output.
    """

    def __init__(
        self, dim: int, num_heads: int, filter_share: float, **kwargs: Any
    ) -> None:
        super().__init__(dim, num_heads, **kwargs)
        self.filter_share = filter_share
        self.filter_norm = FastGradLayerNormalization(epsilon=EPSILON)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; all shapes follow from `dim`."""
        self.beta = self.add_weight(
            shape=(self.dim,),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="beta",
        )
        self.filter_norm.build((None, self.dim))
        super().build(input_shape)

    def mix(
        self,
        states: Tensor,
        may_attend: Tensor,
        dropout: Dropout,
        attention_dropout: Dropout,
        query_positions: Tensor | None = None,
        low_pass: Tensor | None = None,
    ) -> Tensor:
        """Both parts, before the feed-forward one.

        Args:
            states: [G C, d].
            may_attend: bool [G, 1, C, C].
            dropout: applied to the output of both parts.
            attention_dropout: applied to attention weights.
            query_positions: slots whose states are returned, int32 [N]; None for all.
            low_pass: weights of the slots in the low frequencies of a slot, [G, C, C].

        Returns:
            [G C, d], or [N, d].
        """
        attended = super().mix(
            states,
            may_attend,
            dropout,
            attention_dropout,
            query_positions=query_positions,
        )
        chunks = ops.reshape(states, (-1, ops.shape(low_pass)[-1], self.dim))
        low = ops.reshape(ops.matmul(low_pass, chunks), (-1, self.dim))
        if query_positions is not None:
            states = ops.take(states, query_positions, axis=0)
            low = ops.take(low, query_positions, axis=0)
        scale = ops.cast(ops.square(self.beta), states.dtype)
        filtered = low + (states - low) * scale
        filtered = self.filter_norm(states + dropout(filtered))
        return self.filter_share * filtered + (1 - self.filter_share) * attended

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "filter_share": self.filter_share}


@keras.saving.register_keras_serializable(package="s4rec_tf")
class FilteringTransformer(Transformer):
    """SASRec's encoder with blocks of BSARec.

    Args:
        num_frequencies: c, low frequencies that the filter separates from the others.
        filter_share: alpha.
        causal_filter: whether the filter leaves out later items, as attention does; if
            not, states depend on them, and only the last may have a target.
        **kwargs: of `Transformer`.
    """

    def __init__(
        self,
        *args: Any,
        num_frequencies: int,
        filter_share: float,
        causal_filter: bool,
        **kwargs: Any,
    ) -> None:
        self.num_frequencies, self.filter_share = num_frequencies, filter_share
        self.causal_filter = causal_filter
        super().__init__(*args, **kwargs)
        self.basis = low_frequency_basis(self.max_length, num_frequencies)

    def make_block(self, name: str) -> TransformerBlock:
        """A block of BSARec."""
        return BSARecBlock(self.dim, self.num_heads, self.filter_share, name=name)

    def block_arguments(self, batch: PackedBatch) -> dict[str, Tensor]:
        """The low-pass filter between the slots of each chunk."""
        places = ops.take(ops.convert_to_tensor(self.basis), batch.positions, axis=0)
        weights = ops.matmul(places, ops.transpose(places, (0, 2, 1)))
        is_causal = self.is_causal and self.causal_filter
        seen = masks.may_attend(batch.segments, is_causal)[:, 0]
        # Empty slots are a segment of their own, which no other slot uses.
        return {"low_pass": ops.where(seen, weights, 0.0)}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "num_frequencies": self.num_frequencies,
            "filter_share": self.filter_share,
            "causal_filter": self.causal_filter,
        }

"""Residual blocks of dilated convolutions (NextItNet, Yuan et al., WSDM 2019).

They work on packed sequences: a neighbour counts where it is of the same sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from s4rec_tf.layers.fast_gradients import FastGradDense, FastGradLayerNormalization

Tensor = Any

_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="s4rec_tf")
class DilatedConvolution(keras.layers.Layer):
    """A convolution over slots that lie `dilation` apart, inside a sequence.

    Args:
        dim: d.
        width: slots of the kernel, the own one included.
        dilation: their distance.
        is_causal: whether these are the own slot and those before; or both sides.
    """

    def __init__(
        self, dim: int, width: int, dilation: int, is_causal: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.width = dim, width
        self.dilation, self.is_causal = dilation, is_causal
        before = width - 1 if is_causal else (width - 1) // 2
        self.offsets = [(step - before) * dilation for step in range(width)]
        self.mixing = FastGradDense(
            dim, kernel_initializer="glorot_uniform", name="mixing"
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the kernel [width d, d], earliest slot first, and the bias [d]."""
        self.mixing.build((None, self.width * self.dim))
        self.built = True

    def call(self, states: Tensor, segments: Tensor) -> Tensor:
        """[G C, d] and segment numbers [G, C] -> [G C, d]."""
        width = ops.shape(segments)[1]
        chunks = ops.reshape(states, (-1, width, self.dim))
        seen = [self._shifted(chunks, segments, offset) for offset in self.offsets]
        rows = ops.reshape(ops.concatenate(seen, axis=-1), (-1, self.width * self.dim))
        return self.mixing(rows)

    def _shifted(self, chunks: Tensor, segments: Tensor, offset: int) -> Tensor:
        """The state `offset` slots on, zero where that is another sequence's."""
        if not offset:
            return chunks
        width, reach = ops.shape(segments)[1], abs(offset)
        padded = ops.pad(chunks, [[0, 0], [reach, reach], [0, 0]])
        there = ops.pad(segments, [[0, 0], [reach, reach]], constant_values=-1)
        start = reach + offset
        is_same = ops.equal(there[:, start : start + width], segments)
        moved = padded[:, start : start + width]
        return moved * ops.cast(is_same, chunks.dtype)[..., None]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "width": self.width,
            "dilation": self.dilation,
            "is_causal": self.is_causal,
        }


@keras.saving.register_keras_serializable(package="s4rec_tf")
class ResidualBlock(keras.layers.Layer):
    """NextItNet's block: x + conv(relu(norm(conv(relu(norm(x)))))).

    The second convolution is dilated twice as wide as the first.

    Args:
        dim: d.
        width: of the convolutions.
        dilation: of the first.
        is_causal: whether later slots are left out.
    """

    def __init__(
        self, dim: int, width: int, dilation: int, is_causal: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.width = dim, width
        self.dilation, self.is_causal = dilation, is_causal
        self.norms = [FastGradLayerNormalization(epsilon=_EPSILON) for _ in range(2)]
        self.convolutions = [
            DilatedConvolution(dim, width, factor * dilation, is_causal)
            for factor in (1, 2)
        ]

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            norm.build((None, self.dim))
            convolution.build()
        self.built = True

    def call(
        self, states: Tensor, segments: Tensor, dropout: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """[G C, d] and segment numbers [G, C] -> [G C, d]."""
        inner = states
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            inner = convolution(ops.relu(norm(inner)), segments)
        return states + dropout(inner)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "width": self.width,
            "dilation": self.dilation,
            "is_causal": self.is_causal,
        }

"""A vector for every item, or every user, numbered from 1."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf import backend

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class EmbeddingTable(keras.layers.Layer):
    """Maps numbers to vectors; row i of the table is number i + 1, 0 the zero vector.

    Args:
        num_rows: N.
        dim: d.
        stddev: of the initial values.

    Attributes:
        sparse_gradients: see `ItemEmbedding`.
    """

    def __init__(
        self, num_rows: int, dim: int, stddev: float = 0.02, **kwargs: Any
    ) -> None:
        # There is nothing to be computed, so nothing to be gained by less precision.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.num_rows, self.dim, self.stddev = num_rows, dim, stddev
        self.sparse_gradients = False

    def build(self, input_shape: Any = None) -> None:
        """Creates the table [N, d]."""
        self.table = self.add_weight(
            shape=(self.num_rows, self.dim),
            initializer=keras.initializers.TruncatedNormal(stddev=self.stddev),
            name="table",
        )
        self.built = True

    def call(self, numbers: Tensor) -> Tensor:
        """Vectors of numbers, int32 [...] -> [..., d]."""
        rows = ops.maximum(numbers - 1, 0)
        vectors = backend.gather_rows(self.table.value, rows, self.sparse_gradients)
        is_there = ops.cast(ops.greater(numbers, 0), vectors.dtype)
        return vectors * is_there[..., None]

    def vectors(self) -> Tensor:
        """The whole table [N, d]."""
        return ops.convert_to_tensor(self.table.value)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "num_rows": self.num_rows,
            "dim": self.dim,
            "stddev": self.stddev,
        }

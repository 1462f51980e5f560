"""The item table, tied between input and output."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf import backend, spec

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class ItemEmbedding(keras.layers.Layer):
    """Maps item ids to vectors; row i of the table is item i + 1.

    Padding becomes the zero vector. A hidden item (`MASK_ID`) becomes a learned vector
    of its own, which is no row of the table and so is never ranked.

    Args:
        num_items: V.
        dim: d.

    Attributes:
        sparse_gradients: of the table, as in `backend.gather_rows`.
            Holds for what is traced after it is set.
    """

    def __init__(self, num_items: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items = num_items
        self.dim = dim
        self.sparse_gradients = False

    def build(self, input_shape: Any = None) -> None:
        """Creates the table [V, d] and the mask vector [d]."""
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.table = self.add_weight(
            shape=(self.num_items, self.dim), initializer=initializer, name="table"
        )
        self.mask_vector = self.add_weight(
            shape=(self.dim,), initializer=initializer, name="mask_vector"
        )
        self.built = True

    def rows(self, item_ids: Tensor) -> Tensor:
        """Rows [..., d] of item ids int32 [...]; the first for what is no item."""
        numbers = ops.maximum(item_ids - 1, 0)
        return backend.gather_rows(self.table.value, numbers, self.sparse_gradients)

    def call(self, item_ids: Tensor) -> Tensor:
        """Embeds item ids, int32 [B, L] -> [B, L, d]."""
        vectors = self.rows(item_ids)
        is_item = ops.cast(item_ids > spec.PAD_ID, vectors.dtype)[..., None]
        is_hidden = ops.cast(item_ids == spec.MASK_ID, vectors.dtype)[..., None]
        mask_vector = ops.cast(self.mask_vector, vectors.dtype)
        return vectors * is_item + mask_vector * is_hidden

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "num_items": self.num_items,
            "dim": self.dim,
        }

"""Popularity: the same items for everyone, those with most training actions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf.models.base import SequenceRecommender

Tensor = Any


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Popularity(SequenceRecommender):
    """Scores an item by its number of training actions; nothing is learned."""

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """One for every user, [B, 1]."""
        return ops.ones_like(item_ids[:, :1], dtype="float32")

    def item_vectors(self) -> Tensor:
        """Counts of training actions [V, 1]."""
        return ops.convert_to_tensor(self.item_counts.value)[:, None]

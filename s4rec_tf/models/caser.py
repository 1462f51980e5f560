"""Caser: convolutional sequence embedding.

Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
Embedding", WSDM 2018.

Not reproduced: a sample there is a window with its next T items. Here it is an item
with the T windows before it, which over all samples gives the same pairs. L2 is not
applied. The default loss is the paper's, over sampled negatives.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.layers.windows import last_columns
from s4rec_tf.losses import next_item
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.models.windows_of_user import WindowRecommender
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class CaserSettings(ModelSettings):
    """Settings of Caser; `max_length` is L, the Markov order.

    Attributes:
        dim: d, width of items, of users and of z.
        num_targets: T, windows that an item is predicted from.
        num_horizontal: horizontal filters of each height 1 to L.
        num_vertical: vertical filters.
        dropout: rate, on what the convolutions give.
        loss: bce: one item against sampled ones; softmax: against all.
        num_negatives: sampled items a row, for bce.
    """

    max_length: int = choices(5, 3, 5, 10)
    dim: int = choices(64, 32, 64, 128)
    num_targets: int = 3
    num_horizontal: int = choices(16, 8, 16, 32)
    num_vertical: int = 4
    dropout: float = numbers(0.5, low=0.1, high=0.7)
    loss: Literal["bce", "softmax"] = "bce"
    num_negatives: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("dim", "num_targets", "num_horizontal", "num_vertical")
        for name in (*counts, "num_negatives"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1). Received: {self.dropout}")


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Caser(WindowRecommender):
    """The last L items as an image E; filters on it, and the user, score the items."""

    Settings: ClassVar[type[ModelSettings]] = CaserSettings
    defaults: ClassVar[dict[str, Any]] = {"samples": "prefix"}

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, num_users, **kwargs)
        chosen: CaserSettings = self.settings
        length, dim = chosen.max_length, chosen.dim
        self.items = EmbeddingTable(num_items, dim, name="items")
        self.horizontal = [
            keras.layers.Conv1D(
                chosen.num_horizontal,
                height,
                activation="relu",
                name=f"height_{height}",
            )
            for height in range(1, length + 1)
        ]
        self.vertical = self.add_weight(
            shape=(length, chosen.num_vertical), name="vertical"
        )
        self.fully_connected = keras.layers.Dense(dim, activation="relu")
        self.dropout = keras.layers.Dropout(chosen.dropout)
        self.start_outputs(2 * dim)
        for table in (self.items, self.outputs_of_items, self.bias):
            table.build()
        for filters in self.horizontal:
            filters.build((None, length, dim))
        num_features = chosen.num_horizontal * length + chosen.num_vertical * dim
        self.fully_connected.build((None, num_features))

    def batch_spec(self) -> BatchSpec:
        """Rows that hold T windows, and sampled items if the loss wants them."""
        chosen = self.settings
        is_sampled = chosen.loss == "bce"
        return BatchSpec(
            self.row_length, num_negatives=chosen.num_negatives if is_sampled else 0
        )

    def encode(self, windows: Tensor, training: bool = False) -> Tensor:
        """z, int32 [N, L] -> [N, d]."""
        image = self.items(windows)
        by_height = [ops.max(filters(image), axis=1) for filters in self.horizontal]
        by_column = ops.einsum(
            "nld,lv->nvd", image, ops.cast(self.vertical, image.dtype)
        )
        flat = ops.reshape(by_column, (-1, by_column.shape[1] * by_column.shape[2]))
        features = ops.concatenate(
            [*by_height, ops.cast(flat, by_height[0].dtype)], axis=1
        )
        return self.fully_connected(self.dropout(features, training=training))

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """[z, P_u, 1] of the T windows, [B, T, 2 d + 1]."""
        windows, count = self.windows(batch), self.settings.num_targets
        states = self.encode(ops.reshape(windows, (-1, self.max_length)), training)
        states = ops.reshape(states, (-1, count, self.settings.dim))
        users = self.users(batch["user_index"] + 1)[:, None]
        return _joined(states, ops.repeat(users, count, axis=1))

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """[z, P_u, 1], [B, 2 d + 1]."""
        states = self.encode(last_columns(item_ids, self.max_length))
        return _joined(states, self.users_or(user_index, self.mean_user(item_ids)))

    def sampled_losses(
        self, states: Tensor, items: Tensor, targets: Tensor, negatives: Tensor
    ) -> Tensor:
        """Binary cross-entropy over a target and n sampled items, over n + 1."""
        return next_item.generalized_binary_cross_entropy(
            states,
            next_item.lookup_in(items),
            targets,
            negatives,
            self.num_items,
            calibration=0.0,
        )


def _joined(states: Tensor, users: Tensor) -> Tensor:
    states = ops.cast(states, users.dtype)
    return ops.concatenate([states, users, ops.ones_like(states[..., :1])], axis=-1)

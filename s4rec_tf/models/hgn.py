"""HGN: hierarchical gating network.

Ma, Kang and Liu, "Hierarchical Gating Networks for Sequential Recommendation", KDD
2019.

Not reproduced: as in Caser, an item comes with the T windows before it instead of a
window with its next T items; L2 is not applied. Where the paper says average, the
authors' code divides by the sum of the instance gates, and so does this. Items have a
bias, as there.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.layers.gating import FeatureGate, InstanceGate
from s4rec_tf.layers.windows import earlier_windows, last_columns, only_target
from s4rec_tf.losses import next_item, pairwise
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.users import UserRecommender
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any

_LEAST = 1e-9
_LOWEST = -1e9


@dataclasses.dataclass(frozen=True)
class HGNSettings(ModelSettings):
    """Settings of HGN; `max_length` is |L|, items of a window.

    Attributes:
        dim: d, width of items and users.
        num_targets: |T|, windows that an item is predicted from.
        pooling: how the gated items of a window become one vector.
        loss: bpr: one item against a sampled one; softmax: against all.
    """

    max_length: int = choices(5, 3, 5, 8)
    dim: int = choices(64, 32, 64, 128)
    num_targets: int = numbers(3, low=1, high=3)
    pooling: Literal["mean", "max"] = "mean"
    loss: Literal["bpr", "softmax"] = "bpr"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dim", "num_targets"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class HGN(UserRecommender):
    """Gates over features and items; user, gated items and items score the next one."""

    Settings: ClassVar[type[ModelSettings]] = HGNSettings
    defaults: ClassVar[dict[str, Any]] = {"samples": "prefix"}

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, num_users, **kwargs)
        length, dim = self.settings.max_length, self.settings.dim
        self.items = EmbeddingTable(num_items, dim, name="items")
        self.feature_gate = FeatureGate(dim)
        self.instance_gate = InstanceGate(dim, length)
        self.outputs_of_items = EmbeddingTable(num_items, dim, name="outputs")
        self.bias = EmbeddingTable(num_items, 1, stddev=0.0, name="bias")
        parts = (self.items, self.feature_gate, self.instance_gate)
        for part in (*parts, self.outputs_of_items, self.bias):
            part.build()

    def batch_spec(self) -> BatchSpec:
        """Rows that hold T windows, and a sampled item if the loss wants one."""
        return BatchSpec(
            self.settings.max_length + self.settings.num_targets - 1,
            negatives_by_position=self.settings.loss == "bpr",
        )

    def encode(self, windows: Tensor, users: Tensor) -> Tensor:
        """The vector whose product with q_j is the score: user, gated items, all items.

        Args:
            windows: int32 [N, L].
            users: u [N, d].

        Returns:
            [N, d].
        """
        is_real = masks.is_real(windows)
        vectors = self.items(windows)
        gated = self.feature_gate(vectors, users)
        gates = self.instance_gate(gated, users) * ops.cast(is_real, gated.dtype)
        pooled = self._pool(gated * gates[..., None], gates, is_real)
        return users + ops.cast(pooled, users.dtype) + ops.sum(vectors, axis=1)

    def _pool(self, gated: Tensor, gates: Tensor, is_real: Tensor) -> Tensor:
        if self.settings.pooling == "mean":
            total = ops.sum(gates, axis=1)[:, None]
            return ops.sum(gated, axis=1) / ops.maximum(total, _LEAST)
        highest = ops.max(ops.where(is_real[..., None], gated, _LOWEST), axis=1)
        return ops.where(ops.any(is_real, axis=1)[:, None], highest, 0.0)

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """The vectors of the T windows and a one, [B, T, d + 1]."""
        length, count = self.settings.max_length, self.settings.num_targets
        windows = earlier_windows(batch["item_ids"], length, count)
        users = ops.repeat(self.users(batch["user_index"] + 1), count, axis=0)
        states = self.encode(ops.reshape(windows, (-1, length)), users)
        return _with_one(ops.reshape(states, (-1, count, self.settings.dim)))

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """The vector of the last window and a one for the bias, [B, d + 1]."""
        users = self.users_or(user_index, self.mean_user(item_ids))
        return _with_one(self.encode(last_columns(item_ids, self.max_length), users))

    def item_vectors(self) -> Tensor:
        """q_j and the bias, [V, d + 1]."""
        tables = (self.outputs_of_items, self.bias)
        return ops.concatenate([table.vectors() for table in tables], axis=1)

    def loss_weights(self) -> dict[str, float]:
        """The next-item loss alone."""
        return {"next_item": 1.0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """The loss over all windows that hold an item."""
        length, count = self.settings.max_length, self.settings.num_targets
        windows = earlier_windows(batch["item_ids"], length, count)
        is_there = masks.is_real(windows[:, :, -1])
        targets = ops.where(is_there, only_target(batch["target_ids"]), spec.PAD_ID)
        items = self.item_vectors()
        if self.settings.loss == "softmax":
            states, targets = backend.rows_with_target(encoded, targets)
            losses = next_item.softmax(states, items, targets)
        else:
            negatives = batch["negative_ids"]
            lookup = next_item.lookup_in(items)
            positive = next_item.score_items(encoded, lookup, targets)
            negative = next_item.score_items(encoded, lookup, negatives)
            is_negative = ops.broadcast_to(
                masks.is_real(negatives), ops.shape(negative)
            )
            losses = pairwise.bpr(positive, negative[..., None], is_negative[..., None])
        return {"next_item": next_item.mean_over_targets(losses, targets)}


def _with_one(states: Tensor) -> Tensor:
    return ops.concatenate([states, ops.ones_like(states[..., :1])], axis=-1)

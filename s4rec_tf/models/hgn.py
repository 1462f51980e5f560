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

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.layers.gating import FeatureGate, InstanceGate
from s4rec_tf.layers.windows import last_columns
from s4rec_tf.losses import next_item
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.models.windows_of_user import WindowRecommender
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
class HGN(WindowRecommender):
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
        self.start_outputs(dim)
        parts = (self.items, self.feature_gate, self.instance_gate)
        for part in (*parts, self.outputs_of_items, self.bias):
            part.build()

    def batch_spec(self) -> BatchSpec:
        """Rows that hold T windows, and a sampled item if the loss wants one."""
        is_sampled = self.settings.loss == "bpr"
        return BatchSpec(self.row_length, negatives_by_position=is_sampled)

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
        windows, count = self.windows(batch), self.settings.num_targets
        users = ops.repeat(self.users(batch["user_index"] + 1), count, axis=0)
        states = self.encode(ops.reshape(windows, (-1, self.max_length)), users)
        return _with_one(ops.reshape(states, (-1, count, self.settings.dim)))

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """The vector of the last window and a one for the bias, [B, d + 1]."""
        users = self.users_or(user_index, self.mean_user(item_ids))
        return _with_one(self.encode(last_columns(item_ids, self.max_length), users))

    def sampled_losses(
        self, states: Tensor, items: Tensor, targets: Tensor, negatives: Tensor
    ) -> Tensor:
        """BPR with one sampled item."""
        return next_item.sampled_bpr(states, items, targets, negatives)


def _with_one(states: Tensor) -> Tensor:
    return ops.concatenate([states, ops.ones_like(states[..., :1])], axis=-1)

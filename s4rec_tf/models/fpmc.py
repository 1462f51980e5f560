"""FPMC: factorised personalised Markov chains.

Rendle, Freudenthaler and Schmidt-Thieme, "Factorizing Personalized Markov Chains for
Next-Basket Recommendation", WWW 2010.

Not reproduced: baskets of several items; a basket is the last item. The regularisation
is one lambda, and the optimizer is Adam. The default loss is the paper's S-BPR, with
one sampled item.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from s4rec_tf import backend
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.losses import next_item
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.users import UserRecommender
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class FPMCSettings(ModelSettings):
    """Settings of FPMC.

    Attributes:
        dim: k, width of all four kinds of factors.
        loss: bpr: S-BPR, one item against a sampled one; softmax: against all.
        regularization: lambda, weight of the squared norms of a sample's user and last
            item.
    """

    dim: int = choices(64, 32, 64, 128)
    loss: Literal["bpr", "softmax"] = "bpr"
    regularization: float = numbers(0.01, low=1e-4, high=0.1, log=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < 1:
            raise ValueError(f"`dim` must be at least 1. Received: {self.dim}")
        if self.regularization < 0:
            raise ValueError(
                "`regularization` must not be negative. "
                f"Received: {self.regularization}"
            )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class FPMC(UserRecommender):
    """v_u^UI . v_i^IU + v_i^IL . v_l^LI, l being the last item."""

    Settings: ClassVar[type[ModelSettings]] = FPMCSettings

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, num_users, **kwargs)
        dim = self.settings.dim
        self.last_items = EmbeddingTable(num_items, dim, name="last_items")
        self.next_items = EmbeddingTable(num_items, 2 * dim, name="next_items")
        self.last_items.build()
        self.next_items.build()

    def batch_spec(self) -> BatchSpec:
        """One item that the row does not hold, if the loss samples."""
        return BatchSpec(
            self.max_length, negatives_by_position=self.settings.loss == "bpr"
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """[v_u^UI, v_l^LI] at the positions that have a target, [B, T, 2 k]."""
        num_positions = batch["target_ids"].shape[1]
        last = self.last_items(batch["item_ids"][:, -num_positions:])
        users = self.users(batch["user_index"] + 1)[:, None]
        return ops.concatenate([ops.repeat(users, num_positions, axis=1), last], axis=2)

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """[v_u^UI, v_l^LI], [B, 2 k]."""
        users = self.users_or(user_index, self.mean_user(item_ids))
        return ops.concatenate([users, self.last_items(item_ids[:, -1])], axis=1)

    def item_vectors(self) -> Tensor:
        """[v_i^IU, v_i^IL], [V, 2 k]."""
        return self.next_items.vectors()

    def loss_weights(self) -> dict[str, float]:
        """S-BPR: -sum ln sigmoid(x_uti - x_utj) + lambda |Theta|^2."""
        weights = {"next_item": 1.0, "regularization": self.settings.regularization}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """Both terms, as means over the positions."""
        targets = batch["target_ids"]
        squares = ops.sum(ops.square(encoded), axis=-1)
        terms = {
            "next_item": self._next_item(batch, encoded),
            "regularization": next_item.mean_over_targets(squares, targets),
        }
        return {name: terms[name] for name in self.loss_weights()}

    def _next_item(self, batch: Batch, states: Tensor) -> Tensor:
        targets, items = batch["target_ids"], self.item_vectors()
        if self.settings.loss == "softmax":
            states, targets = backend.rows_with_target(states, targets)
            losses = next_item.softmax(states, items, targets)
        else:
            negatives = batch["negative_ids"]
            losses = next_item.sampled_bpr(states, items, targets, negatives)
        return next_item.mean_over_targets(losses, targets)

"""BPR-MF: matrix factorisation by pairwise ranking.

Rendle, Freudenthaler, Gantner and Schmidt-Thieme, "BPR: Bayesian Personalized Ranking
from Implicit Feedback", UAI 2009.

Not reproduced: plain stochastic gradient descent with a regularisation of its own for
users, items and negative items; here it is one optimizer and one lambda. Items have a
bias, as in the authors' MyMediaLite.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from s4rec_tf import spec
from s4rec_tf.data.batch_spec import BatchSpec, Sampling
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.losses import next_item, pairwise
from s4rec_tf.models.base import ModelSettings, mean_state
from s4rec_tf.models.users import UserRecommender, every_action
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class BPRSettings(ModelSettings):
    """Settings of BPR-MF.

    Attributes:
        dim: k, width of the factors.
        regularization: lambda, weight of the squared norms of the rows that a sample
            looks at.
        negative_sampling: how the item j is drawn; popularity means from training
            actions.
    """

    dim: int = choices(64, 32, 64, 128)
    regularization: float = numbers(0.01, low=1e-4, high=0.1, log=True)
    negative_sampling: Sampling = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < 1:
            raise ValueError(f"`dim` must be at least 1. Received: {self.dim}")
        if self.regularization < 0:
            raise ValueError(
                f"`regularization` must not be negative. Received: "
                f"{self.regularization}"
            )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class BPR(UserRecommender):
    """w_u . h_i + b_i; sees no order. A new user is the mean of the items' factors."""

    Settings: ClassVar[type[ModelSettings]] = BPRSettings
    cold_start_policy: ClassVar[str] = "by the mean of their items' vectors"

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, num_users, **kwargs)
        self.items = EmbeddingTable(num_items, self.settings.dim, name="items")
        self.bias = EmbeddingTable(num_items, 1, stddev=0.0, name="bias")
        self.items.build()
        self.bias.build()

    def batch_spec(self) -> BatchSpec:
        """One item that the user has not had, for every action."""
        return BatchSpec(
            self.max_length,
            negatives_by_position=True,
            negative_sampling=self.settings.negative_sampling,
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """w_u of the batch's users [B, k]."""
        return self.users(batch["user_index"] + 1)

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """w_u and a one for the bias, [B, k + 1]."""
        mean = mean_state(self.items(item_ids), masks.is_real(item_ids))
        factors = self.users_or(user_index, mean)
        return ops.concatenate([factors, ops.ones_like(factors[:, :1])], axis=1)

    def item_vectors(self) -> Tensor:
        """h_i and b_i, [V, k + 1]."""
        return ops.concatenate([self.items.vectors(), self.bias.vectors()], axis=1)

    def loss_weights(self) -> dict[str, float]:
        """BPR-OPT (section 4): -sum ln sigmoid(x_uij) + lambda |Theta|^2."""
        weights = {"next_item": 1.0, "regularization": self.settings.regularization}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """Both terms, as means over the actions."""
        positives, negatives = every_action(batch), batch["negative_ids"]
        negatives = ops.concatenate([negatives[:, -1:], negatives], axis=1)
        h_i, h_j = self.items(positives), self.items(negatives)
        x_ui = ops.sum(encoded[:, None] * h_i, axis=-1) + self.bias(positives)[..., 0]
        x_uj = ops.sum(encoded[:, None] * h_j, axis=-1) + self.bias(negatives)[..., 0]
        has_negative = ops.not_equal(negatives, spec.PAD_ID)[..., None]
        losses = pairwise.bpr(x_ui, x_uj[..., None], has_negative)
        squares = sum(
            ops.sum(ops.square(rows), axis=-1) for rows in (encoded[:, None], h_i, h_j)
        )
        terms = {
            "next_item": next_item.mean_over_targets(losses, positives),
            "regularization": next_item.mean_over_targets(squares, positives),
        }
        return {name: terms[name] for name in self.loss_weights()}

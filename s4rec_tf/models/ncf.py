"""NCF: neural collaborative filtering, in its form NeuMF.

He, Liao, Zhang, Nie, Hu and Chua, "Neural Collaborative Filtering", WWW 2017.

Not reproduced: pre-training of the two halves, which the paper finds better by one or
two percent; all starts from random weights. Negatives may by chance be items of the
user, one in a thousand on large catalogues.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.losses import next_item, pairwise
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.users import UserRecommender, every_action
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class NCFSettings(ModelSettings):
    """Settings of NeuMF.

    Attributes:
        dim: width of the factors of generalised matrix factorisation (GMF).
        predictive_factors: width of the last layer of the multi-layer perceptron (MLP);
            every layer below is twice as wide, and its factors are as wide as its first
            layer.
        num_layers: layers of the MLP.
        num_negatives: sampled items for every action.
    """

    dim: int = choices(32, 16, 32, 64)
    predictive_factors: int = choices(8, 8, 16, 32)
    num_layers: int = 3
    num_negatives: int = numbers(4, low=2, high=8)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("dim", "predictive_factors", "num_layers", "num_negatives")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )

    @property
    def widths(self) -> list[int]:
        """Widths of the MLP's layers, from below."""
        powers = range(self.num_layers - 1, -1, -1)
        return [self.predictive_factors * 2**power for power in powers]


@keras.saving.register_keras_serializable(package="s4rec_tf")
class NCF(UserRecommender):
    """h . [p_u^G * q_i^G, MLP(p_u^M, q_i^M)]; sees no order.

    The vectors of a user and of an item are [p^G, p^M] and [q^G, q^M]. A score is no
    product of them: see `pair_scores`.
    """

    Settings: ClassVar[type[ModelSettings]] = NCFSettings
    is_dot_product: ClassVar[bool] = False

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, num_users, **kwargs)
        widths = self.settings.widths
        self.items = EmbeddingTable(num_items, self.user_width, name="items")
        self.first_of_user = keras.layers.Dense(widths[0], name="first_of_user")
        self.first_of_item = keras.layers.Dense(
            widths[0], use_bias=False, name="first_of_item"
        )
        self.hidden = [
            keras.layers.Dense(width, activation="relu", name=f"hidden_{width}")
            for width in widths[1:]
        ]
        self.of_product = keras.layers.Dense(1, use_bias=False, name="of_product")
        self.of_hidden = keras.layers.Dense(1, name="of_hidden")
        self.items.build()
        self.first_of_user.build((None, widths[0]))
        self.first_of_item.build((None, widths[0]))
        for layer, width in zip(self.hidden, widths, strict=False):
            layer.build((None, width))
        self.of_product.build((None, self.settings.dim))
        self.of_hidden.build((None, widths[-1]))

    @property
    def user_width(self) -> int:
        """Width of p^G and p^M."""
        return int(self.settings.dim + self.settings.widths[0])

    def batch_spec(self) -> BatchSpec:
        """Sampled items for every action."""
        return BatchSpec(self.max_length, num_negatives=self.settings.num_negatives)

    def pair_scores(self, user_vectors: Tensor, item_vectors: Tensor) -> Tensor:
        """Eq. 12, before the sigmoid: phi^GMF and phi^MLP, joined and weighed by h.

        Args:
            user_vectors: p^G and p^M side by side, [N, 1, d].
            item_vectors: q^G and q^M side by side, [1 or N, n, d].

        Returns:
            [N, n].
        """
        dim = self.settings.dim
        # By a matrix product, with the GMF's part of h on the user's side.
        weighed = user_vectors[..., :dim] * ops.reshape(self.of_product.kernel, (-1,))
        transposed = ops.swapaxes(item_vectors[..., :dim], 1, 2)
        product = ops.matmul(weighed, transposed)[:, 0]
        # The first layer of a pair is the sum of what it makes of each half.
        state = ops.relu(
            self.first_of_user(user_vectors[..., dim:])
            + self.first_of_item(item_vectors[..., dim:])
        )
        for layer in self.hidden:
            state = layer(state)
        return product + ops.cast(self.of_hidden(state)[..., 0], product.dtype)

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """[p^G, p^M] of the batch's users, [B, d]."""
        return self.users(batch["user_index"] + 1)

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """[p^G, p^M], [B, d]."""
        return self.users_or(user_index, self.mean_user(item_ids))

    def item_vectors(self) -> Tensor:
        """[q^G, q^M], [V, d]."""
        return self.items.vectors()

    def loss_weights(self) -> dict[str, float]:
        """The log loss alone."""
        return {"next_item": 1.0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """Log loss of every action and its negatives."""
        positives, negatives = every_action(batch), batch["negative_ids"]
        users = encoded[:, None]
        positive = self.pair_scores(users, self.items(positives))
        negative = self.pair_scores(users, self.items(negatives))[:, None]
        is_negative = ops.not_equal(negatives[:, None], positives[..., None])
        losses = pairwise.log_loss(positive, negative, is_negative)
        return {"next_item": next_item.mean_over_targets(losses, positives)}

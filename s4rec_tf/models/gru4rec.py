"""GRU4Rec: a recurrent network over the session.

Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based Recommendations with Recurrent
Neural Networks", ICLR 2016; the losses of Hidasi and Karatzoglou, "Recurrent Neural
Networks with Top-k Gains for Session-based Recommendations", CIKM 2018.

Not reproduced: session-parallel mini-batches, which cut back-propagation after a step;
here a batch holds whole sequences, and the negatives are the other next items of all
their positions (on several devices: of the same device). Additional negatives are drawn
by popularity to the power of 1. The item table is tied ("constrained embedding"); the
optimizer is Adam. The default loss is the cross-entropy over all items, of which that
over session negatives is a sample.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from s4rec_tf import backend
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.losses import next_item, pairwise, session_negatives
from s4rec_tf.models.base import ModelSettings, SequenceRecommender, last_state
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class GRU4RecSettings(ModelSettings):
    """Settings of GRU4Rec.

    Attributes:
        dim: width of items and of the hidden state.
        num_layers: GRU layers.
        dropout: rate, on the item vectors and on the states of every layer.
        loss: softmax: cross-entropy over all items; cross_entropy, bpr_max, top1: over
            session negatives.
        bpr_regularization: lambda of BPR-max.
        num_negatives: additional negatives a row, shared by the whole batch.
    """

    dim: int = choices(64, 32, 64, 128)
    num_layers: int = numbers(1, low=1, high=2)
    dropout: float = numbers(0.3, low=0.1, high=0.7)
    loss: Literal["softmax", "cross_entropy", "bpr_max", "top1"] = "softmax"
    bpr_regularization: float = 1.0
    num_negatives: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1). Received: {self.dropout}")
        for name in ("bpr_regularization", "num_negatives"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must not be negative. Received: {getattr(self, name)}"
                )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GRU4Rec(SequenceRecommender):
    """Item vectors -> GRU layers; the last hidden state scores the items."""

    Settings: ClassVar[type[ModelSettings]] = GRU4RecSettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        dim = self.settings.dim
        self.items = EmbeddingTable(num_items, dim, name="items")
        self.bias = EmbeddingTable(num_items, 1, stddev=0.0, name="bias")
        self.layers_of_gru = [
            keras.layers.GRU(dim, return_sequences=True, name=f"gru_{number}")
            for number in range(self.settings.num_layers)
        ]
        self.dropout = keras.layers.Dropout(self.settings.dropout)
        self.items.build()
        self.bias.build()
        for layer in self.layers_of_gru:
            layer.build((None, None, dim))

    def batch_spec(self) -> BatchSpec:
        """Additional negatives, if the loss uses some."""
        is_sampled = self.settings.loss != "softmax"
        return BatchSpec(
            self.max_length,
            num_negatives=self.settings.num_negatives if is_sampled else 0,
            negative_sampling="popularity",
        )

    def encode(
        self, item_ids: Tensor, num_positions: int, training: bool = False
    ) -> Tensor:
        """Hidden states of the last T positions.

        Args:
            item_ids: int32 [B, L], left-padded; the state stays zero at padding.
            num_positions: T.
            training: whether dropout is on.

        Returns:
            [B, T, d].
        """
        rows = backend.trim_padding(item_ids, num_positions)
        is_real = masks.is_real(rows)
        states = self.dropout(self.items(rows), training=training)
        for layer in self.layers_of_gru:
            states = layer(states, mask=is_real, training=training)
            states = self.dropout(states, training=training)
        return states[:, -num_positions:]

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """States at the positions that have a target, [B, T, d]."""
        return self.encode(batch["item_ids"], batch["target_ids"].shape[1], training)

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The last state and a one for the bias, [B, d + 1]."""
        state = ops.cast(last_state(self.encode(item_ids, 1)), "float32")
        is_there = ops.cast(masks.is_real(item_ids)[:, -1:], state.dtype)
        return _with_one(state * is_there)

    def item_vectors(self) -> Tensor:
        """The tied item table and the items' bias, [V, d + 1]."""
        return ops.concatenate([self.items.vectors(), self.bias.vectors()], axis=1)

    def loss_weights(self) -> dict[str, float]:
        """The next-item loss alone."""
        return {"next_item": 1.0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """The loss that the settings name, mean over the positions."""
        states, targets = backend.rows_with_target(encoded, batch["target_ids"])
        losses = self._by_position(_with_one(states), targets, batch)
        return {"next_item": next_item.mean_over_targets(losses, targets)}

    def _by_position(self, states: Tensor, targets: Tensor, batch: Batch) -> Tensor:
        items = self.item_vectors()
        if self.settings.loss == "softmax":
            return next_item.softmax(states, items, targets)
        candidates = targets
        if "negative_ids" in batch:
            more = ops.reshape(batch["negative_ids"], (-1,))
            candidates = ops.concatenate([targets, more])
        scores = session_negatives.session_scores(states, items, targets, candidates)
        if self.settings.loss == "cross_entropy":
            return session_negatives.cross_entropy(scores)
        if self.settings.loss == "top1":
            return pairwise.top1(*scores)
        return pairwise.bpr_max(*scores, self.settings.bpr_regularization)


def _with_one(states: Tensor) -> Tensor:
    return ops.concatenate([states, ops.ones_like(states[..., :1])], axis=-1)

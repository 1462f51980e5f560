"""Base of models that score an item by a user and the windows of items before it."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.layers.windows import earlier_windows, only_target
from s4rec_tf.losses import next_item
from s4rec_tf.models.users import UserRecommender
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class WindowRecommender(UserRecommender):
    """A model of T windows before an item, L items each; a paper's own are the states.

    Settings have `num_targets`, T, and `loss`: softmax, or that of `sampled_losses`.
    """

    def start_outputs(self, width: int) -> None:
        """Makes the vectors that score the items, and a bias of each; builds neither.

        Args:
            width: of a state.
        """
        self.outputs_of_items = EmbeddingTable(self.num_items, width, name="outputs")
        self.bias = EmbeddingTable(self.num_items, 1, stddev=0.0, name="bias")

    @property
    def row_length(self) -> int:
        """Items of a row that holds T windows."""
        return int(self.max_length + self.settings.num_targets - 1)

    def windows(self, batch: Batch) -> Tensor:
        """The windows before a row's target, int32 [B, T, L]."""
        count = self.settings.num_targets
        return earlier_windows(batch["item_ids"], self.max_length, count)

    def item_vectors(self) -> Tensor:
        """Output vectors and biases, [V, width + 1]."""
        tables = (self.outputs_of_items, self.bias)
        return ops.concatenate([table.vectors() for table in tables], axis=1)

    def loss_weights(self) -> dict[str, float]:
        """The next-item loss alone."""
        return {"next_item": 1.0}

    def loss_terms(self, batch: Batch, encoded: Tensor) -> dict[str, Tensor]:
        """The loss over all windows that hold an item."""
        is_there = masks.is_real(self.windows(batch)[:, :, -1])
        targets = ops.where(is_there, only_target(batch["target_ids"]), spec.PAD_ID)
        items = self.item_vectors()
        if self.settings.loss == "softmax":
            states, targets = backend.rows_with_target(encoded, targets)
            losses = next_item.softmax(states, items, targets)
        else:
            negatives = batch["negative_ids"]
            losses = self.sampled_losses(encoded, items, targets, negatives)
        return {"next_item": next_item.mean_over_targets(losses, targets)}

    def sampled_losses(
        self, states: Tensor, items: Tensor, targets: Tensor, negatives: Tensor
    ) -> Tensor:
        """The paper's loss over sampled negatives.

        Args:
            states: [B, T, width + 1].
            items: of `item_vectors`.
            targets: int32 [B, T].
            negatives: int32 [B, n].

        Returns:
            [B, T].
        """
        raise NotImplementedError

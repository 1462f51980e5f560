"""Base of models whose states score the items: dot product or cosine, and L_SR."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.losses import next_item
from s4rec_tf.losses.chunked_softmax import HIGHEST_BOUND
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class NextItemModel(SequenceRecommender):
    """Scores items by the product, or cosine, of a state and the tied item table.

    Its settings are `SASRecSettings`; a subclass creates `item_embedding`.
    """

    item_embedding: ItemEmbedding

    def vectors_of(self, item_ids: Tensor) -> Tensor:
        """Vectors [..., d] of item ids int32 [...], as `item_vectors` has them."""
        vectors = ops.cast(self.item_embedding.rows(item_ids), "float32")
        return backend.l2_normalize(vectors) if self._by_cosine else vectors

    def item_vectors(self) -> Tensor:
        """The item table [V, d], tied with the input; unit rows for cosines."""
        table = ops.convert_to_tensor(self.item_embedding.table.value)
        return backend.l2_normalize(table) if self._by_cosine else table

    @property
    def _by_cosine(self) -> bool:
        return bool(self.settings.score == "cosine")

    @property
    def _score_bound(self) -> float | None:
        """Upper bound of the scores, if it is small enough to be of use."""
        # Rounding lets a cosine exceed 1 a little.
        bound = 1.01 / self.settings.score_temperature
        useful = self._by_cosine and bound <= HIGHEST_BOUND
        return bound if useful else None

    def _to_score(self, states: Tensor) -> Tensor:
        """States [..., d] whose product with an item's vector is its score."""
        states = ops.cast(states, "float32")
        if not self._by_cosine:
            return states
        return backend.l2_normalize(states) / self.settings.score_temperature

    def next_item_loss(self, batch: Batch, states: Tensor) -> Tensor:
        """Eq. 1 in the form that the settings name."""
        if self.settings.loss == "softmax":
            return self.softmax_loss(batch, states)
        target_ids, negative_ids = batch["target_ids"], batch["negative_ids"]
        states, items = self._to_score(states), self.vectors_of
        if self.settings.loss == "bce":
            losses = next_item.binary_cross_entropy(
                states, items, target_ids, negative_ids
            )
        elif self.settings.loss == "gbce":
            losses = next_item.generalized_binary_cross_entropy(
                states,
                items,
                target_ids,
                negative_ids,
                self.num_items,
                self.settings.calibration,
            )
        else:
            counts = self._log_expected_counts
            losses = next_item.sampled_softmax(
                states, items, target_ids, negative_ids, counts
            )
        return next_item.mean_over_targets(losses, target_ids)

    def softmax_loss(self, batch: Batch, states: Tensor) -> Tensor:
        """-log softmax of the targets' scores among all items', mean over targets."""
        states, target_ids = backend.rows_with_target(
            self._to_score(states), batch["target_ids"]
        )
        losses = next_item.softmax(
            states,
            self.item_vectors(),
            target_ids,
            self._score_bound,
            self.compute_dtype,
        )
        return next_item.mean_over_targets(losses, target_ids)

    def _log_expected_counts(self, item_ids: Tensor) -> Tensor:
        """Log of how often items [...] are expected among a row's negatives."""
        if self.settings.negative_sampling == "uniform":
            counts, total = ops.ones(ops.shape(item_ids)), self.num_items
        else:
            all_counts = ops.convert_to_tensor(self.item_counts.value)
            counts = next_item.lookup_in(all_counts)(item_ids)
            total = ops.maximum(ops.sum(all_counts), 1.0)
        share = ops.maximum(counts, 1.0) / total
        return ops.log(share * self.settings.num_negatives)

"""SASRec: Self-Attentive Sequential Recommendation (Kang and McAuley, ICDM 2018).

The encoder of S4Rec and its "SR only" row. Beyond the paper: any of four next-item
losses, post-norm blocks with GELU as in later work on the same data.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import input_noise, masks
from s4rec_tf.layers.frequency_filter import FilteringTransformer
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.packed_encoding import ROWS_AT_ONCE, embed_parts, encode_packed
from s4rec_tf.layers.packing import Packing
from s4rec_tf.layers.transformer import Transformer
from s4rec_tf.models.base import ModelSettings, last_state, mean_state
from s4rec_tf.models.next_item_model import NextItemModel
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class Encoded(NamedTuple):
    """Rows of a batch and their views, as the encoder sees them.

    Attributes:
        states: states at the positions that have a target, [B, T, d].
        z: sequence embeddings [B, d].
        views: those of the views, [B, d] each; none if no term uses views.
    """

    states: Tensor
    z: Tensor
    views: list[Tensor]


@keras.saving.register_keras_serializable(package="s4rec_tf")
class SASRec(NextItemModel):
    """Self-attention over the history; its last state scores the items."""

    Settings: ClassVar[type[ModelSettings]] = SASRecSettings
    rows_at_once = ROWS_AT_ONCE
    """Rows of a training batch, views included, that are encoded at once."""

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.item_embedding = ItemEmbedding(num_items, self.settings.dim)
        self.encoder = self.make_encoder()
        self.item_embedding.build()
        self.encoder.build()

    def make_encoder(self, is_causal: bool = True) -> keras.layers.Layer:
        """Encoder from item vectors to states; see `encode_packed`.

        Args:
            is_causal: whether a state depends on no later item.
        """
        chosen = self.settings
        sizes = (chosen.max_length, chosen.dim, chosen.num_layers, chosen.num_heads)
        rate = None if chosen.attention_dropout == -1 else chosen.attention_dropout
        if chosen.encoder == "attention":
            return Transformer(*sizes, chosen.dropout, is_causal, rate)
        return FilteringTransformer(
            *sizes,
            chosen.dropout,
            is_causal,
            attention_dropout=rate,
            num_frequencies=chosen.num_frequencies,
            filter_share=chosen.filter_share,
            causal_filter=chosen.causal_filter,
        )

    def batch_spec(self) -> BatchSpec:
        """Two views if any term uses them; negatives, if the loss samples any."""
        samples = self.settings.loss in ("sampled_softmax", "gbce")
        return BatchSpec(
            self.max_length,
            num_views=2 if self.needs_views else 0,
            num_negatives=self.settings.num_negatives if samples else 0,
            negatives_by_position=self.settings.loss == "bce",
            negative_sampling=self.settings.negative_sampling,
        )

    def encode(
        self,
        item_ids: Tensor,
        num_positions: int,
        training: bool = False,
        packs: bool | None = None,
    ) -> Tensor:
        """Eq. 2: states f(S) of the last T positions.

        Args:
            item_ids: int32 [B, L], left-padded.
            num_positions: T.
            training: whether dropout is on.
            packs: as `encode_packed` has it.

        Returns:
            [B, T, d].
        """
        return encode_packed(
            self._embed,
            self.encoder,
            item_ids,
            num_positions,
            self.rows_at_once,
            training,
            packs,
        )

    def _embed(self, packings: list[Packing]) -> list[Tensor]:
        """Input vectors of the encoder, part by part."""
        return embed_parts(self.item_embedding, packings)

    def pool(self, states: Tensor, item_ids: Tensor) -> Tensor:
        """A sequence's embedding z [B, d] from its states."""
        if self.settings.pooling == "last":
            return last_state(states)
        return mean_state(states, masks.is_real(item_ids))

    @property
    def needs_views(self) -> bool:
        """Whether any term uses augmented views of a batch's rows."""
        return bool(self.settings.view_weight > 0)

    def call(self, batch: Batch, training: bool = False) -> Any:
        """Encodes the sequences and their views; an `Encoded` here."""
        views = views_of(batch) if self.needs_views else []
        return self.encode_rows(batch, views, training)

    def encode_rows(self, batch: Batch, views: list[Tensor], training: bool) -> Encoded:
        """Encodes rows and some views of them, int32 [B, L] each, in one pass."""
        item_ids = batch["item_ids"]
        if training:
            item_ids = self.mask_items(item_ids)
            item_ids = self.repeat_histories(item_ids, batch["target_ids"].shape[1])
        all_ids = ops.concatenate([item_ids, *views])
        num_targets = batch["target_ids"].shape[1]
        if training and num_targets > 1 and self._sees_later_items:
            raise ValueError(
                "`causal_filter` must be true where every position has a target. "
                f"Received: {self.settings.causal_filter}, {num_targets} targets"
            )
        whole = self.settings.pooling == "mean"
        num_positions = self.settings.max_length if whole else num_targets
        states = self.encode(all_ids, num_positions, training)
        z, *of_views = ops.split(self.pool(states, all_ids), 1 + len(views))
        own_states = ops.split(states, 1 + len(views))[0]
        return Encoded(own_states[:, -num_targets:], z, of_views)

    @property
    def _sees_later_items(self) -> bool:
        chosen = self.settings
        return bool(chosen.encoder == "bsarec" and not chosen.causal_filter)

    def mask_items(self, item_ids: Tensor) -> Tensor:
        """Masks `mask_prob` of the items, anew at every call; int32 [B, L]."""
        if not self.settings.mask_prob:
            return item_ids
        seed = self.encoder.seed_generator
        return input_noise.mask_items(item_ids, self.settings.mask_prob, seed)

    def repeat_histories(self, item_ids: Tensor, num_targets: int) -> Tensor:
        """Repeats histories int32 [B, L] into their padding, if `repeats_history`.

        Only of samples with one target: a repeated item would have a wrong one.
        """
        if not self.settings.repeats_history or num_targets > 1:
            return item_ids
        shape, seed = ops.shape(item_ids[:, :1]), self.encoder.seed_generator
        noise = keras.random.uniform(shape, seed=seed)
        return input_noise.repeated(item_ids, noise)

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The last state [B, d] in the form that ranks the items."""
        return self._to_score(last_state(self.encode(item_ids, num_positions=1)))

    @property
    def embeds_with_user_vectors(self) -> bool:
        """Whether z is the last state, unscaled."""
        return bool(self.settings.pooling == "last" and self.settings.score == "dot")

    def sequence_embeddings(self, item_ids: Tensor) -> Tensor:
        """Eq. 2: z [B, d]."""
        whole = self.settings.pooling == "mean"
        num_positions = self.max_length if whole else 1
        return self.pool(self.encode(item_ids, num_positions), item_ids)

    def loss_weights(self) -> dict[str, float]:
        """The next-item loss alone."""
        return {"next_item": 1.0}

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """L_SR alone."""
        return {"next_item": self.next_item_term(batch, encoded)}

    def next_item_term(self, batch: Batch, encoded: Encoded) -> Tensor:
        """L_SR: Eq. 1 on the sequences, and on their views if those weigh anything."""
        own = self.next_item_loss(batch, encoded.states)
        weight = self.settings.view_weight
        if not weight:
            return own
        # A view has its last position in common with the sequence, and no other.
        ends = ["target_ids"] + ["negative_ids"] * (self.settings.loss == "bce")
        last = {**batch, **{name: batch[name][:, -1:] for name in ends}}
        views = [
            self.next_item_loss(last, ops.expand_dims(view, 1))
            for view in encoded.views
        ]
        return (own + weight * sum(views)) / (1 + 2 * weight)


def views_of(batch: Batch) -> list[Tensor]:
    """Both augmented views of a batch's rows."""
    return [batch["view_1"], batch["view_2"]]

"""SASRec: Self-Attentive Sequential Recommendation (Kang and McAuley, ICDM 2018).

The encoder of S4Rec and its "SR only" row. Beyond the paper: any of four next-item
losses, post-norm blocks with GELU as in later work on the same data.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import keras
from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.frequency_filter import FilteringTransformer
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.packed_encoding import ROWS_AT_ONCE, embed_parts, encode_packed
from s4rec_tf.layers.packing import Packing
from s4rec_tf.layers.transformer import Transformer
from s4rec_tf.losses import next_item
from s4rec_tf.losses.chunked_softmax import HIGHEST_BOUND
from s4rec_tf.models.base import (
    Batch,
    ModelSettings,
    SequenceRecommender,
    last_state,
    mean_state,
)
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class SASRecSettings(ModelSettings):
    """Settings of SASRec.

    Attributes:
        dim: d, width of items and states.
        num_layers: attention blocks.
        num_heads: heads of each block.
        dropout: rate, on the embedding and every part's output.
        attention_dropout: rate on attention weights; -1 for that of `dropout`.
        encoder: attention alone; or beside a filter over the sequence (BSARec, AAAI
            2024).
        num_frequencies: low frequencies that the filter separates from the others, the
            constant counted.
        filter_share: share of the filter's output, the rest being attention's.
        causal_filter: whether the filter leaves out later items; if not, as in its
            paper, only the last position of a sample may have a target.
        mask_prob: share of the items of a training sequence, its last one apart,
            that are hidden at random; views are made of whole sequences.
        repeats_history: whether a training sequence is repeated into its padding, a
            random number of times (RepPad, RecSys 2024); views are not.
        view_weight: weight of the next-item loss on each of two augmented views beside
            that on the sequence itself; the loss is their weighted mean. A view
            predicts the same next item.
        loss: form of the next-item loss.
        score: an item's score is the dot product of state and item vector; or their
            cosine, over `score_temperature`.
        score_temperature: how far apart cosines may lie as scores.
        num_negatives: sampled items a row for sampled_softmax and gbce.
        negative_sampling: how they are drawn; popularity means from training actions.
        calibration: t of gbce.
        pooling: a sequence's embedding is its last state (Eq. 2), or the mean state.
    """

    dim: int = choices(64, 32, 64, 128)
    num_layers: int = numbers(2, low=1, high=3)
    num_heads: int = 2
    dropout: float = numbers(0.5, low=0.1, high=0.7)
    attention_dropout: float = -1.0
    encoder: Literal["attention", "bsarec"] = "attention"
    num_frequencies: int = 3
    filter_share: float = 0.7
    causal_filter: bool = True
    mask_prob: float = numbers(0.0, low=0.0, high=0.5)
    repeats_history: bool = False
    view_weight: float = 0.0
    loss: Literal["softmax", "sampled_softmax", "bce", "gbce"] = "softmax"
    score: Literal["dot", "cosine"] = "cosine"
    score_temperature: float = numbers(0.07, low=0.03, high=0.2, log=True)
    num_negatives: int = 256
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
    calibration: float = 0.75
    pooling: Literal["last", "mean"] = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dim", "num_layers", "num_heads", "num_negatives"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        if self.dim % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide `dim`. Received: num_heads={self.num_heads}, "
                f"dim={self.dim}"
            )
        for name in ("dropout", "mask_prob"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ValueError(f"`{name}` must lie in [0, 1). Received: {share}")
        if not (self.attention_dropout == -1 or 0 <= self.attention_dropout < 1):
            raise ValueError(
                "`attention_dropout` must lie in [0, 1), or be -1. "
                f"Received: {self.attention_dropout}"
            )
        most = self.max_length // 2 + 1
        if self.encoder == "bsarec" and not 1 <= self.num_frequencies <= most:
            raise ValueError(
                f"`num_frequencies` must lie in [1, {most}], half of `max_length` and "
                f"one. Received: {self.num_frequencies}"
            )
        if not 0 <= self.filter_share <= 1:
            raise ValueError(
                f"`filter_share` must lie in [0, 1]. Received: {self.filter_share}"
            )
        if self.score_temperature <= 0:
            raise ValueError(
                "`score_temperature` must be positive. "
                f"Received: {self.score_temperature}"
            )
        if self.view_weight < 0:
            raise ValueError(
                f"`view_weight` must not be negative. Received: {self.view_weight}"
            )
        if self.view_weight and self.pooling != "last":
            raise ValueError(
                "`view_weight` needs the last state of a view (`pooling=last`). "
                f"Received: {self.view_weight}"
            )


class Encoded(NamedTuple):
    """Rows of a batch and their views, as the encoder sees them.

    Attributes:
        states: states at the positions that have a target, [B, T, d].
        z: sequence embeddings [B, d].
        views: those of the views, [B, d] each; none if no term looks at views.
    """

    states: Tensor
    z: Tensor
    views: list[Tensor]


@keras.saving.register_keras_serializable(package="s4rec_tf")
class SASRec(SequenceRecommender):
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
        """Two views if any term looks at them; negatives, if the loss samples any."""
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
            item_ids = self.repeat_some(item_ids, batch["target_ids"].shape[1])
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
        """Replaces `mask_prob` of the items, the last column apart, by `MASK_ID`.

        Args:
            item_ids: int32 [B, L], left-padded.

        Returns:
            int32 [B, L]; other items at every call.
        """
        if not self.settings.mask_prob:
            return item_ids
        seed = self.encoder.seed_generator
        draw = keras.random.uniform(ops.shape(item_ids), seed=seed)
        width = item_ids.shape[1]
        may_hide = ops.logical_and(
            masks.is_real(item_ids), ops.arange(width) < width - 1
        )
        is_hidden = ops.logical_and(may_hide, draw < self.settings.mask_prob)
        return ops.where(is_hidden, spec.MASK_ID, item_ids)

    def repeat_some(self, item_ids: Tensor, num_targets: int) -> Tensor:
        """Repeats histories into their padding if `repeats_history`.

        Args:
            item_ids: int32 [B, L], left-padded.
            num_targets: T; only of samples with one target, since a repeated item is
                followed by what it was followed by, and not by the position's target.
        """
        if not self.settings.repeats_history or num_targets > 1:
            return item_ids
        shape, seed = ops.shape(item_ids[:, :1]), self.encoder.seed_generator
        return repeated(item_ids, keras.random.uniform(shape, seed=seed))

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


def repeated(item_ids: Tensor, noise: Tensor) -> Tensor:
    """Each history one to L // n times in a row, n its length, all numbers as likely.

    Args:
        item_ids: int32 [B, L], left-padded.
        noise: decides how often, in [0, 1), [B, 1].
    """
    width = item_ids.shape[1]
    is_real = ops.cast(masks.is_real(item_ids), "int32")
    lengths = ops.maximum(ops.sum(is_real, axis=1, keepdims=True), 1)
    most = width // lengths
    times = 1 + ops.minimum(
        ops.cast(noise * ops.cast(most, noise.dtype), "int32"), most - 1
    )
    from_end = width - 1 - ops.arange(width, dtype="int32")[None, :]
    columns = width - 1 - from_end % lengths
    found = ops.take_along_axis(item_ids, columns, axis=1)
    return ops.where(from_end < times * lengths, found, spec.PAD_ID)


def views_of(batch: Batch) -> list[Tensor]:
    """Both augmented views of a batch's rows."""
    return [batch["view_1"], batch["view_2"]]

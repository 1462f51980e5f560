"""DSSRec: disentangled self-supervision in sequential recommenders.

Ma et al., KDD 2020. SASRec's states are divided by intention, K vectors a sequence. The
best of them predicts the next item, and each predicts the vector of the whole future
under the same intention, where that is predictable.

Not reproduced: the softmax over the batch's items in Eq. 6 (all items are the
negatives); scores by dot product over sqrt D (`score=dot` has them; by default the
cosine, as `sasrec`); negatives of the sequence-to-sequence loss exclude other prefixes
of the same user, since here every prefix is a sample. A sequence's last target alone is
learned (the paper's samples, a user and a time, are prefixes too). Attention has two
heads by default (one). `dssrec_beauty` weighs the sequence-to-sequence loss 0.1, not 1
as the paper and this class do.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import keras
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.disentanglement import IntentionDisentanglement
from s4rec_tf.losses.sequence_to_sequence import (
    best_intention_softmax,
    mean_over_rows,
    sequence_to_sequence,
)
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any

_NUM_NEXT = 3


@dataclasses.dataclass(frozen=True)
class DSSRecSettings(SASRecSettings):
    """Settings of DSSRec.

    Attributes:
        num_intents: K, latent categories.
        keep_share: lambda, share of the sequence-to-sequence losses that are learned
            from, the smallest ones.
        seq2seq_weight: weight of the sequence-to-sequence loss; 1 in the paper, 0 is
            the first variant of its Table 2.
        seq2seq: prediction of the future: its vectors (`latent`); or, as in variants
            2 and 3 of Table 2, each of its items (`items`) or of its first three
            (`next_items`).
    """

    num_intents: int = choices(4, 2, 4, 8)
    keep_share: float = numbers(0.5, low=0.3, high=0.9)
    seq2seq_weight: float = numbers(1.0, low=0.1, high=2.0, log=True)
    seq2seq: Literal["latent", "items", "next_items"] = "latent"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_intents < 1:
            raise ValueError(
                f"`num_intents` must be at least 1. Received: {self.num_intents}"
            )
        if not 0 < self.keep_share <= 1 or self.seq2seq_weight < 0:
            raise ValueError(
                "`keep_share` must lie in (0, 1] and `seq2seq_weight` must not be "
                f"negative. Received: {self.keep_share}, {self.seq2seq_weight}"
            )
        if self.loss != "softmax":
            raise ValueError(
                "`loss` must be softmax where the best of several intentions predicts "
                f"an item. Received: {self.loss!r}"
            )
        if self.view_weight:
            raise ValueError(
                "`view_weight` must be 0 for a model without augmented views. "
                f"Received: {self.view_weight}"
            )


class Encoded(NamedTuple):
    """Intentions of a batch.

    Attributes:
        past: phi of the inputs [B, K, D].
        future: phi of the reversed futures [B, K, D]; None if no term uses it.
    """

    past: Tensor
    future: Tensor | None


@keras.saving.register_keras_serializable(package="s4rec_tf")
class DSSRec(SASRec):
    """SASRec with an intention-disentanglement layer and a look at the future."""

    Settings: ClassVar[type[ModelSettings]] = DSSRecSettings
    is_dot_product: ClassVar[bool] = False

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.intentions = IntentionDisentanglement(
            self.max_length, self.settings.dim, self.settings.num_intents
        )
        self.intentions.build()
        if not self._tells_vectors:
            self.intentions.future_bias.trainable = False

    @property
    def _tells_vectors(self) -> bool:
        chosen = self.settings
        return bool(chosen.seq2seq == "latent" and chosen.seq2seq_weight > 0)

    def batch_spec(self) -> BatchSpec:
        """The future, if a term uses it."""
        return BatchSpec(self.max_length, future=self.settings.seq2seq_weight > 0)

    def call(self, batch: Batch, training: bool = False) -> Encoded:
        """Intentions of the inputs, and of their futures, in one pass."""
        item_ids = self.mask_items(batch["item_ids"]) if training else batch["item_ids"]
        if not self._tells_vectors:
            return Encoded(self._intentions(item_ids, training), None)
        both = ops.concatenate([item_ids, batch["future_ids"]])
        states = ops.split(self.encode(both, self.max_length, training), 2)
        past, future = (masks.is_real(ids) for ids in ops.split(both, 2))
        return Encoded(
            self.intentions(states[0], past),
            self.intentions(states[1], future, of_future=True),
        )

    def _intentions(self, item_ids: Tensor, training: bool = False) -> Tensor:
        states = self.encode(item_ids, item_ids.shape[1], training)
        return self.intentions(states, masks.is_real(item_ids))

    def loss_weights(self) -> dict[str, float]:
        """Eq. 7: L = L_s2i + L_s2s."""
        weights = {"next_item": 1.0, "seq2seq": self.settings.seq2seq_weight}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Both terms of Eq. 7."""
        next_ids = batch["target_ids"][:, -1:]
        terms = {"next_item": self._tell_items(encoded.past, next_ids)}  # Eq. 6
        if "seq2seq" not in self.loss_weights():
            return terms
        if self._tells_vectors:
            terms["seq2seq"] = sequence_to_sequence(  # Eqs. 3-5
                encoded.past,
                encoded.future,
                batch["user_index"],
                self.settings.keep_share,
            )
            return terms
        future_ids = batch["future_ids"]
        if self.settings.seq2seq == "next_items":
            future_ids = future_ids[:, -_NUM_NEXT:]
        # From the next item on, which is real in every row.
        terms["seq2seq"] = self._tell_items(encoded.past, ops.flip(future_ids, axis=1))
        return terms

    def _tell_items(self, intentions: Tensor, target_ids: Tensor) -> Tensor:
        items = self.item_vectors()
        losses = best_intention_softmax(self._to_score(intentions), items, target_ids)
        return mean_over_rows(losses, target_ids)

    def _to_score(self, states: Tensor) -> Tensor:
        """Vectors [..., D] whose product with an item's vector is its score."""
        if self._by_cosine:
            return super()._to_score(states)
        return states / self.settings.dim**0.5

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The K intentions side by side, in the form that ranks the items, [B, K D]."""
        intentions = self._to_score(self._intentions(item_ids))
        return ops.reshape(
            intentions, (-1, self.settings.num_intents * self.settings.dim)
        )

    def pair_scores(self, user_vectors: Tensor, item_vectors: Tensor) -> Tensor:
        """The score by the best intention: [..., K D] and [..., D] -> [...]."""
        num_intents = self.settings.num_intents
        if user_vectors.shape[1:-1] == (1,) and item_vectors.shape[0] == 1:
            # Every user with every item, [N, 1, K D] and [1, V, D]: a single product.
            flat = ops.reshape(user_vectors, (-1, self.settings.dim))
            scores = ops.matmul(flat, ops.transpose(item_vectors[0]))
            shape = (-1, num_intents, ops.shape(item_vectors)[1])
            return ops.max(ops.reshape(scores, shape), axis=1)
        by_intention = [
            ops.sum(intention * item_vectors, axis=-1)
            for intention in ops.split(user_vectors, num_intents, axis=-1)
        ]
        return ops.max(ops.stack(by_intention, axis=-1), axis=-1)

    @property
    def embeds_with_user_vectors(self) -> bool:
        """Whether z ranks the items."""
        return False

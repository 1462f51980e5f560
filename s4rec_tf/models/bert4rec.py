"""BERT4Rec: sequential recommendation with bidirectional encoder representations.

Sun et al., CIKM 2019, arXiv 1904.06690. SASRec is, in that paper's words, its
left-to-right version; here it is SASRec that reads in both directions, and learns to
fill gaps. To predict the next item, it reads the history with a gap at its end.

Not reproduced: the output layer, a GELU projection with a bias for every item - a score
is the cosine of state and item vector, as in `sasrec`; and the samples, whole sequences
repeated with other gaps: here every prefix is one, with its next item always hidden
(`last_share`), so that training resembles serving.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from s4rec_tf import spec
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class BERT4RecSettings(SASRecSettings):
    """Settings of BERT4Rec; rho, the share of items that are hidden, `mask_prob`.

    Attributes:
        last_share: share of the samples whose last item is hidden for certain, beside
            what chance hides of the others.
    """

    mask_prob: float = numbers(0.2, low=0.1, high=0.6)
    last_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.last_share <= 1:
            raise ValueError(
                f"`last_share` must lie in [0, 1]. Received: {self.last_share}"
            )
        if self.loss != "softmax":
            raise ValueError(
                f"`loss` must be softmax for a model that fills gaps. "
                f"Received: {self.loss!r}"
            )
        if self.view_weight:
            raise ValueError(
                "`view_weight` must be 0 for a model that fills gaps. "
                f"Received: {self.view_weight}"
            )


class Cloze(NamedTuple):
    """A batch with gaps.

    Attributes:
        item_ids: `MASK_ID` in every gap, int32 [B, L].
        target_ids: what is hidden, int32 [B, L]; `PAD_ID` where nothing is.
    """

    item_ids: Tensor
    target_ids: Tensor


@keras.saving.register_keras_serializable(package="s4rec_tf")
class BERT4Rec(SASRec):
    """Self-attention in both directions, trained to fill gaps."""

    Settings: ClassVar[type[ModelSettings]] = BERT4RecSettings

    def make_encoder(self, is_causal: bool = False) -> keras.layers.Layer:
        """SASRec's encoder, reading in both directions."""
        return super().make_encoder(is_causal)

    def batch_spec(self) -> BatchSpec:
        """Nothing beyond the items."""
        return BatchSpec(self.max_length)

    def call(self, batch: Batch, training: bool = False) -> tuple[Tensor, Tensor]:
        """States [B, L, d] of sequences with gaps, and what the gaps hid [B, L]."""
        cloze = self.cloze_mask(whole_sequences(batch))
        return self.encode(cloze.item_ids, self.max_length, training), cloze.target_ids

    def cloze_mask(self, item_ids: Tensor) -> Cloze:
        """The cloze task: hides some items of each sequence, at least its last.

        Args:
            item_ids: whole sequences, int32 [B, L].
        """
        return cloze_mask(
            item_ids,
            self.settings.mask_prob,
            self.settings.last_share,
            self.encoder.seed_generator,
        )

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Eq. 8: -log p(hidden item), mean over the gaps."""
        states, target_ids = encoded
        hidden = {"target_ids": target_ids}
        return {"next_item": self.next_item_loss(hidden, states)}

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The state of a gap behind the history, [B, d]."""
        return super().user_vectors(with_gap(item_ids, self.max_length))

    def sequence_embeddings(self, item_ids: Tensor) -> Tensor:
        """The same state, unscaled; or the mean state, the gap's included."""
        return super().sequence_embeddings(with_gap(item_ids, self.max_length))


def whole_sequences(batch: Batch) -> Tensor:
    """The inputs with their last target behind them, the last L items; int32 [B, L]."""
    parts = [batch["item_ids"][:, 1:], batch["target_ids"][:, -1:]]
    return ops.concatenate(parts, axis=1)


def with_gap(item_ids: Tensor, max_length: int) -> Tensor:
    """The last L - 1 items, or fewer if there are, and a gap behind them.

    Args:
        item_ids: int32 [B, l], left-padded.
        max_length: L.
    """
    gap = ops.full_like(item_ids[:, :1], spec.MASK_ID)
    if max_length == 1:
        return gap
    return ops.concatenate([item_ids[:, 1 - max_length :], gap], axis=1)


def cloze_mask(
    item_ids: Tensor, mask_prob: float, last_share: float, seed: Any
) -> Cloze:
    """Hides items at random, each by itself; where none would be, the last one.

    Args:
        item_ids: int32 [B, L], left-padded, with an item in the last column.
        mask_prob: how likely an item is hidden.
        last_share: how likely the last one is, besides.
        seed: a seed generator.
    """
    draw = keras.random.uniform(ops.shape(item_ids), seed=seed)
    is_hidden = ops.logical_and(masks.is_real(item_ids), draw < mask_prob)
    for_certain = keras.random.uniform(ops.shape(item_ids[:, :1]), seed=seed)
    hides_last = ops.logical_or(
        for_certain < last_share,
        ops.logical_not(ops.any(is_hidden, axis=1, keepdims=True)),
    )
    is_last = ops.arange(item_ids.shape[1]) == item_ids.shape[1] - 1
    is_hidden = ops.logical_or(is_hidden, ops.logical_and(hides_last, is_last))
    return Cloze(
        ops.where(is_hidden, spec.MASK_ID, item_ids),
        ops.where(is_hidden, item_ids, spec.PAD_ID),
    )

"""GREC: gap-filling based recommender with an encoder and a decoder.

Yuan et al., "Future Data Helps Training: Modeling Future Contexts for Session-based
Recommendation", WWW 2020, arXiv 1906.04473, on the dilated convolutions of NextItNet
(Yuan et al., WSDM 2019, arXiv 1808.05163). The encoder sees both sides of a sequence
with gaps; the decoder, which sees what came before, fills them.

Not reproduced: item tables of their own for encoder, decoder and output (one serves
all); the samples, sessions of one length whose last item is a gap among others: every
prefix is a sample, and its next item always a gap, as it is when serving.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from s4rec_tf import spec
from s4rec_tf.layers import masks
from s4rec_tf.layers.gap_filling import GapFillingNetwork
from s4rec_tf.layers.packed_encoding import embed_parts
from s4rec_tf.layers.packing import Packing
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.bert4rec import (
    BERT4Rec,
    BERT4RecSettings,
    whole_sequences,
    with_gap,
)
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices

Tensor = Any


@dataclasses.dataclass(frozen=True)
class GRECSettings(BERT4RecSettings):
    """Settings of GREC; `num_layers` counts residual blocks, of each of its two parts.

    Attributes:
        width: positions in the kernel of a convolution.
    """

    width: int = choices(3, 3, 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "max_length"):
            if getattr(self, name) < 2:
                raise ValueError(
                    f"`{name}` must be at least 2. Received: {getattr(self, name)}"
                )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class GREC(BERT4Rec):
    """The cloze task of BERT4Rec, by convolutions that encode and decode."""

    Settings: ClassVar[type[ModelSettings]] = GRECSettings

    def make_encoder(self, is_causal: bool = False) -> keras.layers.Layer:
        """Encoder, which reads both ways, projector and decoder."""
        return GapFillingNetwork(
            self.settings.max_length,
            self.settings.dim,
            self.settings.num_layers,
            self.settings.width,
            self.settings.dropout,
        )

    def call(self, batch: Batch, training: bool = False) -> tuple[Tensor, Tensor]:
        """States before the gaps, and what the gaps hid, [B, L - 1]."""
        whole = whole_sequences(batch)
        _, hidden_ids = self.cloze_mask(whole)
        states = self.encode(_marked(whole, hidden_ids), self.max_length, training)
        # What begins a sequence has no state before it.
        target_ids = ops.where(
            masks.is_real(whole[:, :-1]), hidden_ids[:, 1:], spec.PAD_ID
        )
        return states[:, :-1], target_ids

    def _embed(self, packings: list[Packing]) -> list[Tensor]:
        """Vectors of the items with gaps and of the whole, side by side."""
        with_gaps = [p._replace(item_ids=_gaps_of(p.item_ids)) for p in packings]
        whole = [p._replace(item_ids=_whole_of(p.item_ids)) for p in packings]
        parts = embed_parts(self.item_embedding, [*with_gaps, *whole])
        pairs = zip(parts[: len(packings)], parts[len(packings) :], strict=True)
        return [ops.concatenate(pair, axis=-1) for pair in pairs]

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The last item's state, with a gap behind it, [B, d]."""
        return self._to_score(self.sequence_embeddings(item_ids))

    def sequence_embeddings(self, item_ids: Tensor) -> Tensor:
        """The same state, unscaled."""
        with_last_gap = with_gap(item_ids, self.max_length)
        return self.encode(with_last_gap, num_positions=2)[:, 0]


def _marked(item_ids: Tensor, hidden_ids: Tensor) -> Tensor:
    """Negative ids below `MASK_ID` where the encoder, not the decoder, sees a gap."""
    return ops.where(masks.is_real(hidden_ids), spec.MASK_ID - item_ids, item_ids)


def _gaps_of(marked_ids: Tensor) -> Tensor:
    return ops.where(marked_ids < spec.PAD_ID, spec.MASK_ID, marked_ids)


def _whole_of(marked_ids: Tensor) -> Tensor:
    is_marked = marked_ids < spec.MASK_ID
    return ops.where(is_marked, spec.MASK_ID - marked_ids, marked_ids)

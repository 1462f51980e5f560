"""S3-Rec: self-supervised learning with mutual information maximization.

Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual
Information Maximization", CIKM 2020, arXiv 2008.07873. A self-attentive encoder is
first trained, reading both ways, to predict masked items and segments from context;
then, reading forwards as SASRec, to predict the next item.

Not reproduced: attributes (losses AAP and MAP, Eqs. 5 and 7), since a dataset folder
holds none; one sampled negative a prediction: all items are the negatives of a hidden
item, and the batch's other segments those of a segment.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import segments
from s4rec_tf.losses.contrastive import info_nce
from s4rec_tf.models.base import ModelSettings, last_state
from s4rec_tf.models.bert4rec import cloze_mask, whole_sequences
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.models.weighted_terms import MAIN_STAGE, Batch
from s4rec_tf.search_ranges import numbers

Tensor = Any

PRETRAIN = "pretrain"


@dataclasses.dataclass(frozen=True)
class S3RecSettings(SASRecSettings):
    """Settings of S3-Rec.

    Attributes:
        pretrain_epochs: epochs of the first stage; 0 leaves SASRec.
        gap_share: share of the items that are hidden in pre-training.
        item_weight: weight of L_MIP.
        segment_weight: weight of L_SP.
        segment_tau: temperature of L_SP.
    """

    pretrain_epochs: int = 10
    gap_share: float = numbers(0.2, low=0.1, high=0.5)
    item_weight: float = numbers(1.0, low=0.1, high=2.0, log=True)
    segment_weight: float = numbers(0.5, low=0.1, high=2.0, log=True)
    segment_tau: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("pretrain_epochs", "item_weight", "segment_weight"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must not be negative. Received: {getattr(self, name)}"
                )
        if not 0 < self.gap_share < 1 or self.segment_tau <= 0:
            raise ValueError(
                "`gap_share` must lie in (0, 1) and `segment_tau` must be positive. "
                f"Received: {self.gap_share}, {self.segment_tau}"
            )
        if self.pretrain_epochs and not self.item_weight + self.segment_weight:
            raise ValueError(
                "`item_weight` or `segment_weight` must be positive for pre-training. "
                f"Received: {self.item_weight}, {self.segment_weight}"
            )


class Pretext(NamedTuple):
    """Encoded inputs of pre-training.

    Attributes:
        states: of sequences with gaps, [B, L, d].
        hidden_ids: what the gaps hid, int32 [B, L].
        context: last states of sequences with a hidden segment, [B, d].
        segment: last states of the segments alone, [B, d].
    """

    states: Tensor
    hidden_ids: Tensor
    context: Tensor
    segment: Tensor


@keras.saving.register_keras_serializable(package="s4rec_tf")
class S3Rec(SASRec):
    """SASRec after pre-training on hidden items and segments."""

    Settings: ClassVar[type[ModelSettings]] = S3RecSettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.item_projection, self.segment_projection = (
            keras.layers.Dense(
                self.settings.dim,
                use_bias=False,
                kernel_initializer="identity",
                trainable=self.settings.pretrain_epochs > 0 and weight > 0,
                name=name,
            )
            for name, weight in (
                ("item_projection", self.settings.item_weight),
                ("segment_projection", self.settings.segment_weight),
            )
        )
        self.item_projection.build((None, self.settings.dim))
        self.segment_projection.build((None, self.settings.dim))

    def pretraining_stages(self) -> dict[str, int]:
        """Pre-training."""
        return {PRETRAIN: self.settings.pretrain_epochs}

    def begin_stage(self, stage: str) -> None:
        """The encoder reads both ways in pre-training alone."""
        super().begin_stage(stage)
        self.encoder.is_causal = stage == MAIN_STAGE

    def batch_spec(self) -> BatchSpec:
        """The spec of SASRec, except in pre-training."""
        if self.stage == PRETRAIN:
            return BatchSpec(self.max_length)
        return super().batch_spec()

    def call(self, batch: Batch, training: bool = False) -> Any:
        """Inputs of the stage's losses."""
        if self.stage == MAIN_STAGE:
            return super().call(batch, training)
        item_ids, seed = whole_sequences(batch), self.encoder.seed_generator
        cloze = cloze_mask(item_ids, self.settings.gap_share, 0.0, seed)
        shape = ops.shape(item_ids[:, :1])
        noise = [keras.random.uniform(shape, seed=seed) for _ in range(2)]
        segment = segments.draw_segment(item_ids, *noise)
        hidden = segments.hide(item_ids, segment)
        alone = segments.alone(item_ids, segment)
        all_ids = ops.concatenate([cloze.item_ids, hidden, alone])
        states = self.encode(all_ids, self.max_length, training)
        with_gaps, of_context, of_segment = ops.split(states, 3)
        return Pretext(
            with_gaps, cloze.target_ids, last_state(of_context), last_state(of_segment)
        )

    def loss_weights(self) -> dict[str, float]:
        """The next item; before, the terms of pre-training that have a weight."""
        if self.stage == MAIN_STAGE:
            return super().loss_weights()
        weights = {
            "masked_item": self.settings.item_weight,
            "segment": self.settings.segment_weight,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Every term of the stage."""
        if self.stage == MAIN_STAGE:
            return super().loss_terms(batch, encoded)
        terms = {
            "masked_item": lambda: self._masked_item(encoded),  # MIP, Eq. 6
            "segment": lambda: self._segment(batch, encoded),  # SP, Eq. 8
        }
        return {name: terms[name]() for name in self.loss_weights()}

    def _masked_item(self, encoded: Pretext) -> Tensor:
        hidden = {"target_ids": encoded.hidden_ids}
        return self.softmax_loss(hidden, self.item_projection(encoded.states))

    def _segment(self, batch: Batch, encoded: Pretext) -> Tensor:
        context = self.segment_projection(encoded.context)
        labels = [batch["user_index"]]
        return info_nce(context, encoded.segment, labels, self.settings.segment_tau)

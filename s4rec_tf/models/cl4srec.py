"""CL4SRec: contrastive learning for sequential recommendation.

Xie et al., "Contrastive Learning for Sequential Recommendation", ICDE 2022, arXiv
2010.14395: SASRec, and two random views of every sequence that it has to recognise.

Not reproduced: the binary cross-entropy with one negative (full softmax, as `sasrec`
has it; `loss=bce samples=sequence` is the paper's), and similarity by dot product,
which needs no temperature but lets long vectors win (cosine over `tau`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from s4rec_tf import spec
from s4rec_tf.losses.contrastive import intent_info_nce
from s4rec_tf.models.base import Batch, ModelSettings, last_state
from s4rec_tf.models.sasrec import SASRec, SASRecSettings

Tensor = Any


@dataclasses.dataclass(frozen=True)
class CL4SRecSettings(SASRecSettings):
    """Settings of CL4SRec.

    Attributes:
        contrast_weight: lambda of Eq. 14, weight of the contrastive loss; 0 leaves
            SASRec.
        tau: temperature of the contrastive loss.
    """

    contrast_weight: float = 0.1
    tau: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.contrast_weight < 0 or self.tau <= 0:
            raise ValueError(
                "`contrast_weight` must not be negative and `tau` must be positive. "
                f"Received: {self.contrast_weight}, {self.tau}"
            )


class Encoded(NamedTuple):
    """What one pass of the encoder gives.

    Attributes:
        states: states at the positions that have a target, [B, T, d].
        z: the sequences' last states [B, d].
        views: those of their views, [B, d] each.
    """

    states: Tensor
    z: Tensor
    views: list[Tensor]


@keras.saving.register_keras_serializable(package="s4rec_tf")
class CL4SRec(SASRec):
    """SASRec, and the contrast of two views: crop, mask or reorder."""

    Settings: ClassVar[type[ModelSettings]] = CL4SRecSettings
    defaults: ClassVar[dict[str, Any]] = {
        "operators": ("crop", "mask", "reorder"),
        "crop": "keep",
    }

    def batch_needs(self) -> spec.BatchNeeds:
        """Two views of every row."""
        views = 2 if self.needs_views else 0
        return dataclasses.replace(super().batch_needs(), num_views=views)

    @property
    def needs_views(self) -> bool:
        """Whether any term looks at augmented views."""
        return bool(self.settings.contrast_weight > 0)

    def call(self, batch: Batch, training: bool = False) -> Encoded:
        """Encodes the sequences and their views in one pass."""
        names = ["item_ids", "view_1", "view_2"] if self.needs_views else ["item_ids"]
        if training:
            batch = {**batch, "item_ids": self.hide_some(batch["item_ids"])}
        num_targets = batch["target_ids"].shape[1]
        all_ids = ops.concatenate([batch[name] for name in names])
        states = self.encode(all_ids, num_targets, training)
        own, *views = ops.split(states, len(names))
        return Encoded(own, last_state(own), [last_state(view) for view in views])

    def loss_weights(self) -> dict[str, float]:
        """Eq. 14: L = L_main + lambda L_cl; terms without weight are left out."""
        weights = {"next_item": 1.0, "contrastive": self.settings.contrast_weight}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Both terms of Eq. 14."""
        terms = {"next_item": self.next_item_loss(batch, encoded.states)}
        if "contrastive" in self.loss_weights():
            terms["contrastive"] = self.contrast_of_views(batch, encoded)
        return terms

    def contrast_of_views(self, batch: Batch, encoded: Encoded) -> Tensor:
        """Eq. 3, the mean over both directions; negatives are views of other users."""
        first, second = encoded.views
        labels = [batch["user_index"]]
        there = intent_info_nce(first, second, labels, self.settings.tau)
        back = intent_info_nce(second, first, labels, self.settings.tau)
        return (there + back) / 2

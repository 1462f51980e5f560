"""CL4SRec: contrastive learning for sequential recommendation.

Xie et al., "Contrastive Learning for Sequential Recommendation", ICDE 2022, arXiv
2010.14395: SASRec, and two random views of every sequence that it has to recognise.

Not reproduced: the binary cross-entropy with one negative (full softmax, as `sasrec`
has it; `loss=bce samples=sequence` is the paper's), and similarity by dot product,
which needs no temperature but lets long vectors win (cosine over `tau`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras

from s4rec_tf.losses.contrastive import intent_info_nce
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.sasrec import Encoded, SASRec
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class CL4SRecSettings(SASRecSettings):
    """Settings of CL4SRec.

    Attributes:
        contrast_weight: lambda of Eq. 14, weight of the contrastive loss; 0 leaves
            SASRec.
        tau: temperature of the contrastive loss.
    """

    contrast_weight: float = numbers(0.1, low=0.01, high=1.0, log=True)
    tau: float = numbers(0.1, low=0.05, high=1.0, log=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.contrast_weight < 0 or self.tau <= 0:
            raise ValueError(
                "`contrast_weight` must not be negative and `tau` must be positive. "
                f"Received: {self.contrast_weight}, {self.tau}"
            )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class CL4SRec(SASRec):
    """SASRec, and the contrast of two views: crop, mask or reorder."""

    Settings: ClassVar[type[ModelSettings]] = CL4SRecSettings
    defaults: ClassVar[dict[str, Any]] = {
        "operators": ("crop", "mask", "reorder"),
        "crop": "keep",
    }

    @property
    def needs_views(self) -> bool:
        """Whether any term uses augmented views."""
        return super().needs_views or self.settings.contrast_weight > 0

    def loss_weights(self) -> dict[str, float]:
        """Eq. 14: L = L_main + lambda L_cl; terms without weight are left out."""
        weights = {"next_item": 1.0, "contrastive": self.settings.contrast_weight}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Both terms of Eq. 14."""
        terms = super().loss_terms(batch, encoded)
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

"""ICLRec: intent contrastive learning for sequential recommendation.

Chen et al., "Intent Contrastive Learning for Sequential Recommendation", WWW 2022,
arXiv 2202.02519. Every epoch K-means finds the intents of all users' sequences (the
E-step); a sequence's views are then drawn to its intent, and to each other (M-step).

Not reproduced: the released code's sequence vectors - the mean over all positions,
padding too, for intents, and all positions side by side for the views - but the last
state, which ranks. The views' operators are those of the paper: crop, mask, reorder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from s4rec_tf.layers.prototypes import Prototypes
from s4rec_tf.losses.contrastive import intent_contrast
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.cl4srec import CL4SRec, CL4SRecSettings
from s4rec_tf.models.sasrec import Encoded
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any


@dataclasses.dataclass(frozen=True)
class ICLRecSettings(CL4SRecSettings):
    """Settings of ICLRec; beta, the weight of L_SeqCL, is `contrast_weight`.

    Attributes:
        num_intents: K, clusters of the users' sequences.
        intent_weight: lambda of Eq. 11, weight of the intent contrast.
        intent_tau: temperature of the intent contrast.
    """

    num_intents: int = choices(256, 64, 256, 1024)
    intent_weight: float = numbers(0.1, low=0.01, high=1.0, log=True)
    intent_tau: float = numbers(0.1, low=0.05, high=1.0, log=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_intents < 1:
            raise ValueError(
                f"`num_intents` must be at least 1. Received: {self.num_intents}"
            )
        if self.intent_weight < 0 or self.intent_tau <= 0:
            raise ValueError(
                "`intent_weight` must not be negative and `intent_tau` must be "
                f"positive. Received: {self.intent_weight}, {self.intent_tau}"
            )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class ICLRec(CL4SRec):
    """SASRec with contrast of views and of intents."""

    Settings: ClassVar[type[ModelSettings]] = ICLRecSettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.intents = Prototypes(
            self.settings.num_intents, self.settings.dim, tau_1=1.0, trainable=False
        )
        self.intents.build()

    @property
    def needs_views(self) -> bool:
        """Whether any term uses augmented views."""
        return super().needs_views or self.settings.intent_weight > 0

    def begin_epoch(
        self, embed_users: Callable[[], np.ndarray], generator: np.random.Generator
    ) -> None:
        """E-step: the intents are the K-means centroids of all users' sequences."""
        if self.settings.intent_weight > 0:
            self.intents.refit(embed_users(), generator)

    def loss_weights(self) -> dict[str, float]:
        """Eq. 11: L = L_NextItem + lambda L_ICL + beta L_SeqCL."""
        weights = {**super().loss_weights(), "intent": self.settings.intent_weight}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Every term of Eq. 11 that has a weight."""
        terms = super().loss_terms(batch, encoded)
        if "intent" in self.loss_weights():
            terms["intent"] = self._intent_contrast(encoded)
        return terms

    def _intent_contrast(self, encoded: Encoded) -> Tensor:
        """Eqs. 8-9: both views against the intent of the sequence."""
        centroids = self.intents.vectors()
        intent = self.intents.nearest(self.intents(encoded.z, centroids))
        return sum(
            intent_contrast(view, centroids, intent, self.settings.intent_tau)
            for view in encoded.views
        )

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest intent of each embedding."""
        similarities = self.intents(ops.convert_to_tensor(embeddings))
        return np.asarray(ops.convert_to_numpy(self.intents.nearest(similarities)))

"""S4Rec: online self-supervised self-distillation for sequential recommendation.

"Leave No One Behind: Online Self-Supervised Self-Distillation for Sequential
Recommendation", WWW 2024, arXiv 2404.07219. What the paper leaves open is decided in
docs/deviations.md; options keep the other readings reachable.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import numpy as np
from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.layers.gradient_reversal import GradientReversal
from s4rec_tf.layers.prototypes import Prototypes
from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from s4rec_tf.losses.adversarial import head_tail_cross_entropy
from s4rec_tf.losses.clustering import prototype_cross_entropy
from s4rec_tf.losses.contrastive import intent_info_nce
from s4rec_tf.losses.distillation import intent_distillation
from s4rec_tf.models.base import Batch, ModelSettings
from s4rec_tf.models.sasrec import SASRec, SASRecSettings

Tensor = Any


@dataclasses.dataclass(frozen=True)
class S4RecSettings(SASRecSettings):
    """Settings of S4Rec, in the paper's letters.

    Attributes:
        num_intents: K, prototypes.
        tau_1: temperature of the soft assignment (Eq. 3).
        tau_2: temperature of the contrastive loss (Eqs. 9-10).
        tau_3: temperature of the distillation (Eq. 11).
        epsilon: smoothness of the Sinkhorn targets (Eq. 5).
        sinkhorn_iterations: normalisations of columns and rows.
        alpha: weight of the clustering loss (Eq. 14).
        beta_1: weight of the contrastive loss.
        beta_2: weight of the distillation.
        lambda_adv: lambda, weight of the head-tail classification.
        gamma: scale of the reversed gradient that reaches the encoder.
        gamma_ramp_steps: training steps over which gamma rises from 0 as in DANN,
            2 / (1 + exp(-10 t)) - 1; 0 keeps it constant.
        normalize_prototypes: L2-normalise z and mu in Eqs. 3 and 5.
        intent_assignment: h(u) is the argmax of q (balanced) or of p.
        contrastive_pairs: views: (z1, z2) and (z2, z1), the published text; original:
            (z1, z2) and (z, z1), the earlier one.
        intent_negatives: whether other intents are negatives (Eq. 10; else Eq. 9).
        decoupled: leave the positive out of the denominator, as printed.
        teacher_gradient: whether prototypes learn from the distillation.
        distillation_vectors: distil between raw vectors, or between unit vectors.
    """

    num_intents: int = 128
    tau_1: float = 0.1
    tau_2: float = 1.0
    tau_3: float = 0.1
    epsilon: float = 0.05
    sinkhorn_iterations: int = 3
    alpha: float = 0.1
    beta_1: float = 0.1
    beta_2: float = 0.1
    lambda_adv: float = 0.1
    gamma: float = 1.0
    gamma_ramp_steps: int = 0
    normalize_prototypes: bool = True
    intent_assignment: Literal["q", "p"] = "q"
    contrastive_pairs: Literal["views", "original"] = "views"
    intent_negatives: bool = True
    decoupled: bool = False
    teacher_gradient: bool = False
    distillation_vectors: Literal["raw", "unit"] = "unit"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tau_1", "tau_2", "tau_3", "epsilon"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {getattr(self, name)}"
                )
        for name in ("num_intents", "sinkhorn_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        for name in ("alpha", "beta_1", "beta_2", "lambda_adv", "gamma"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must not be negative. Received: {getattr(self, name)}"
                )


class Encoded(NamedTuple):
    """What one pass of the encoder gives.

    Attributes:
        states: states at the positions that have a target, [B, T, d].
        z: sequence embeddings [B, d].
        z_1: those of the first view [B, d].
        z_2: those of the second view [B, d].
    """

    states: Tensor
    z: Tensor
    z_1: Tensor
    z_2: Tensor


@keras.saving.register_keras_serializable(package="s4rec_tf")
class S4Rec(SASRec):
    """SASRec, helped by intents, contrast, self-distillation and an adversary."""

    Settings: ClassVar[type[ModelSettings]] = S4RecSettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.prototypes = Prototypes(
            self.settings.num_intents,
            self.settings.dim,
            self.settings.tau_1,
            self.settings.normalize_prototypes,
        )
        self.gradient_reversal = GradientReversal(self.settings.gamma)
        self.head_tail_classifier = keras.layers.Dense(2, name="head_tail_classifier")
        self.prototypes.build()
        self.gradient_reversal.build((None, self.settings.dim))
        self.head_tail_classifier.build((None, self.settings.dim))

    def batch_needs(self) -> spec.BatchNeeds:
        """Two views of every row (Eq. 8)."""
        return dataclasses.replace(super().batch_needs(), num_views=2)

    def call(self, batch: Batch, training: bool = False) -> Encoded:
        """Encodes the sequences and both views in one pass."""
        all_ids = ops.concatenate([batch["item_ids"], batch["view_1"], batch["view_2"]])
        num_targets = batch["target_ids"].shape[1]
        whole = self.settings.pooling == "mean"
        num_positions = self.settings.max_length if whole else num_targets
        states = self.encode(all_ids, num_positions, training)
        z, z_1, z_2 = ops.split(self.pool(states, all_ids), 3)
        return Encoded(ops.split(states, 3)[0][:, -num_targets:], z, z_1, z_2)

    def loss_weights(self) -> dict[str, float]:
        """Eq. 14: L = L_SR + alpha L_Clust + beta_1 L_SCL + beta_2 L_CKD + lambda L_Adv."""  # noqa: E501
        return {
            "next_item": 1.0,
            "clustering": self.settings.alpha,
            "contrastive": self.settings.beta_1,
            "distillation": self.settings.beta_2,
            "adversarial": self.settings.lambda_adv,
        }

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Every term of Eq. 14."""
        similarities = self.prototypes(encoded.z)
        log_p = self.prototypes.log_assignment(similarities)  # Eq. 3
        q = self._global_targets(similarities)  # Eqs. 5-7
        assignment = q if self.settings.intent_assignment == "q" else log_p
        intent = ops.argmax(assignment, axis=-1)  # h(u)
        return {
            "next_item": self.next_item_loss(batch, encoded.states),  # Eq. 1
            "clustering": prototype_cross_entropy(q, log_p),  # Eq. 4
            "contrastive": self._contrastive(batch, encoded, intent),  # Eqs. 8-10
            "distillation": self._distillation(encoded, intent),  # Eqs. 11-12
            "adversarial": self._adversarial(batch, encoded.z),  # Eq. 13
        }

    def _global_targets(self, similarities: Tensor) -> Tensor:
        """The targets q of this replica's rows, balanced over the global batch."""
        gathered = backend.gather_batch(ops.stop_gradient(similarities))
        targets = sinkhorn_targets(
            gathered, self.settings.epsilon, self.settings.sinkhorn_iterations
        )
        return backend.own_rows(targets, ops.shape(similarities)[0])

    def _contrastive(self, batch: Batch, encoded: Encoded, intent: Tensor) -> Tensor:
        z, z_1, z_2 = encoded.z, encoded.z_1, encoded.z_2
        swapped = self.settings.contrastive_pairs == "views"
        pairs = [(z_1, z_2), (z_2, z_1) if swapped else (z, z_1)]
        mu = self.prototypes.mu if self.settings.intent_negatives else None
        return sum(
            intent_info_nce(
                anchor,
                positive,
                batch["user_index"],
                self.settings.tau_2,
                prototypes=mu,
                intent=intent,
                decoupled=self.settings.decoupled,
            )
            for anchor, positive in pairs
        )

    def _distillation(self, encoded: Encoded, intent: Tensor) -> Tensor:
        teacher, views = self.prototypes.mu, [encoded.z_1, encoded.z_2]
        if self.settings.distillation_vectors == "unit":
            teacher = ops.normalize(teacher, axis=-1)
            views = [ops.normalize(view, axis=-1) for view in views]
        teacher = ops.take(teacher, intent, axis=0)
        return sum(
            intent_distillation(
                teacher, view, self.settings.tau_3, self.settings.teacher_gradient
            )
            for view in views
        )

    def _adversarial(self, batch: Batch, z: Tensor) -> Tensor:
        reversed_z = self.gradient_reversal(z, scale=self._gamma_ramp())
        logits = self.head_tail_classifier(reversed_z)
        return head_tail_cross_entropy(logits, batch["is_head"])

    def _gamma_ramp(self) -> Tensor:
        """Section 4.3 with DANN's schedule: from 0 to 1 over the ramp's steps."""
        if not self.settings.gamma_ramp_steps:
            return 1.0
        steps = ops.cast(self.optimizer.iterations, "float32")
        progress = ops.minimum(steps / self.settings.gamma_ramp_steps, 1.0)
        return 2 / (1 + ops.exp(-10 * progress)) - 1

    def diagnostics(
        self, user_vectors: np.ndarray, is_head: np.ndarray
    ) -> dict[str, float]:
        """Use of the prototypes, and how evenly head users spread over them.

        `prototype_perplexity` is exp of the entropy of the share of users per
        prototype, K if all are used alike; `head_rate_*` are quantiles over the
        prototypes in use (Figure 3).
        """
        similarities = ops.convert_to_numpy(self.prototypes(user_vectors))
        intent = similarities.argmax(axis=1)
        num_intents = self.settings.num_intents
        users = np.bincount(intent, minlength=num_intents)
        heads = np.bincount(intent[is_head], minlength=num_intents)
        used = users > 0
        share = users[used] / users.sum()
        rates = heads[used] / users[used]
        quantiles = np.quantile(rates, [0.25, 0.5, 0.75])
        return {
            "prototype_perplexity": float(np.exp(-np.sum(share * np.log(share)))),
            "head_rate_q25": float(quantiles[0]),
            "head_rate_median": float(quantiles[1]),
            "head_rate_q75": float(quantiles[2]),
        }

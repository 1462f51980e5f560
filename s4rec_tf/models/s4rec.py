"""S4Rec: online self-supervised self-distillation for sequential recommendation.

"Leave No One Behind: Online Self-Supervised Self-Distillation for Sequential
Recommendation", WWW 2024, arXiv 2404.07219. What the paper leaves open is decided in
docs/deviations.md; options keep the other readings reachable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.layers.clusters import Spread
from s4rec_tf.layers.gradient_reversal import GradientReversal
from s4rec_tf.layers.prototypes import Prototypes
from s4rec_tf.layers.schedule import StepCounter, dann_ramp
from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from s4rec_tf.losses.adversarial import head_tail_cross_entropy
from s4rec_tf.losses.clustering import prototype_cross_entropy
from s4rec_tf.losses.contrastive import intent_info_nce
from s4rec_tf.losses.distillation import intent_distillation
from s4rec_tf.models.base import Batch, ModelSettings
from s4rec_tf.models.s4rec_settings import S4RecSettings
from s4rec_tf.models.sasrec import SASRec

Tensor = Any


class Encoded(NamedTuple):
    """What one pass of the encoder gives.

    Attributes:
        states: states at the positions that have a target, [B, T, d].
        z: sequence embeddings [B, d].
        z_1: those of the first view [B, d]; None if no term looks at views.
        z_2: those of the second view, as z_1.
    """

    states: Tensor
    z: Tensor
    z_1: Tensor | None = None
    z_2: Tensor | None = None


class Intents(NamedTuple):
    """What a batch's sequences are taken to be about.

    Attributes:
        mu: the prototypes [K, d], without gradient while they are frozen.
        q: balanced targets [B, K]; None with K-means.
        similarities: z mu^T [B, K].
        assigned: h(u), int [B].
    """

    mu: Tensor
    q: Tensor | None
    similarities: Tensor
    assigned: Tensor


@keras.saving.register_keras_serializable(package="s4rec_tf")
class S4Rec(SASRec):
    """SASRec, helped by intents, contrast, self-distillation and an adversary."""

    Settings: ClassVar[type[ModelSettings]] = S4RecSettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        chosen: S4RecSettings = self.settings
        self.prototypes = Prototypes(
            chosen.num_intents,
            chosen.dim,
            chosen.tau_1,
            chosen.normalize_prototypes,
            trainable=chosen.has_trainable_prototypes,
            dtype="float32",
        )
        self.gradient_reversal = GradientReversal(chosen.gamma)
        self.head_tail_classifier = keras.layers.Dense(
            2, name="head_tail_classifier", trainable=chosen.lambda_adv > 0
        )
        self.prototypes.build()
        self.gradient_reversal.build((None, chosen.dim))
        self.head_tail_classifier.build((None, chosen.dim))
        self.steps: Any = StepCounter() if chosen.counts_steps else None
        if self.steps:
            self.steps.build()

    def batch_needs(self) -> spec.BatchNeeds:
        """Two views of every row (Eq. 8), if any term looks at them."""
        return dataclasses.replace(
            super().batch_needs(),
            num_views=2 if self.settings.needs_views else 0,
            head_tail_by=self.settings.head_tail_by,
        )

    def begin_epoch(
        self, embed_users: Callable[[], np.ndarray], generator: np.random.Generator
    ) -> None:
        """Refreshes the clusters of Table 3's K-means rows."""
        if self.settings.clustering == "kmeans":
            self.prototypes.refit(embed_users(), generator)

    def call(self, batch: Batch, training: bool = False) -> Encoded:
        """Encodes the sequences and their views in one pass."""
        if training and self.steps:
            self.steps.advance()
        names = ["item_ids"]
        if self.settings.needs_views:
            names += ["view_1", "view_2"]
        if training:
            batch = {**batch, "item_ids": self.hide_some(batch["item_ids"])}
        all_ids = ops.concatenate([batch[name] for name in names])
        num_targets = batch["target_ids"].shape[1]
        whole = self.settings.pooling == "mean"
        num_positions = self.settings.max_length if whole else num_targets
        states = self.encode(all_ids, num_positions, training)
        z, *views = ops.split(self.pool(states, all_ids), len(names))
        own_states = ops.split(states, len(names))[0]
        return Encoded(own_states[:, -num_targets:], z, *views)

    def loss_weights(self) -> dict[str, float]:
        """Eq. 14: L = L_SR + alpha L_Clust + beta_1 L_SCL + beta_2 L_CKD + lambda L_Adv.

        Terms without weight are left out; so is L_Clust with K-means.
        """  # noqa: E501
        online = self.settings.clustering == "online"
        weights = {
            "next_item": 1.0,
            "clustering": self.settings.alpha if online else 0.0,
            "contrastive": self.settings.beta_1,
            "distillation": self.settings.beta_2,
            "adversarial": self.settings.lambda_adv,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    def scheduled_weights(self) -> dict[str, Tensor]:
        """Eq. 14's weights, those of the auxiliary terms rising over their ramp."""
        weights: dict[str, Tensor] = self.loss_weights()
        ramp = self.settings.auxiliary_ramp_steps
        if not ramp:
            return weights
        progress = self.steps.progress(ramp)
        auxiliary = {name: w * progress for name, w in weights.items()}
        return {**auxiliary, "next_item": weights["next_item"]}

    def loss_terms(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Every term of Eq. 14 that has a weight."""
        intents = self._intents(encoded.z)
        terms = {
            "next_item": lambda: self._next_item(batch, encoded),  # Eq. 1
            "clustering": lambda: self._clustering(encoded, intents),  # Eqs. 3-7
            "contrastive": lambda: self._contrastive(batch, encoded, intents),  # 8-10
            "distillation": lambda: self._distillation(encoded, intents),  # Eqs. 11-12
            "adversarial": lambda: self._adversarial(batch, encoded.z),  # Eq. 13
        }
        weights = self.loss_weights()
        return {name: term() for name, term in terms.items() if name in weights}

    def _next_item(self, batch: Batch, encoded: Encoded) -> Tensor:
        """Eq. 1, on the views as well if they weigh anything."""
        own = self.next_item_loss(batch, encoded.states)
        weight = self.settings.view_weight
        if not weight:
            return own
        # A view has its last position in common with the sequence, and no other.
        ends = ["target_ids"] + ["negative_ids"] * (self.settings.loss == "bce")
        last = {**batch, **{name: batch[name][:, -1:] for name in ends}}
        views = [
            self.next_item_loss(last, ops.expand_dims(view, 1))
            for view in (encoded.z_1, encoded.z_2)
        ]
        return (own + weight * sum(views)) / (1 + 2 * weight)

    def _intents(self, z: Tensor) -> Intents:
        """h(u) and what it comes from."""
        mu = self.prototypes.vectors(self._prototypes_are_frozen())
        similarities = self.prototypes(z, mu)
        if self.settings.clustering == "kmeans":
            assigned = self.prototypes.nearest(similarities)
            return Intents(mu, None, similarities, assigned)
        q = self._targets(similarities)  # Eqs. 5-7
        by_q = self.settings.intent_assignment == "q"
        assigned = ops.argmax(q if by_q else similarities, axis=-1)
        return Intents(mu, q, similarities, assigned)

    def _prototypes_are_frozen(self) -> Tensor:
        if not self.settings.prototype_freeze_steps:
            return False
        return self.steps.done() < self.settings.prototype_freeze_steps

    def _targets(self, similarities: Tensor) -> Tensor:
        """The targets q of this replica's rows, balanced over the global batch."""
        gathered = backend.gather_batch(ops.stop_gradient(similarities))
        targets = sinkhorn_targets(
            gathered, self.settings.epsilon, self.settings.sinkhorn_iterations
        )
        return backend.own_rows(targets, ops.shape(similarities)[0])

    def _clustering(self, encoded: Encoded, intents: Intents) -> Tensor:
        if self.settings.clustering_targets == "own":
            log_p = self.prototypes.log_assignment(intents.similarities)  # Eq. 3
            return prototype_cross_entropy(intents.q, log_p)  # Eq. 4
        similarities = [
            self.prototypes(view, intents.mu) for view in (encoded.z_1, encoded.z_2)
        ]
        q_1, q_2 = map(self._targets, similarities)
        log_p_1, log_p_2 = map(self.prototypes.log_assignment, similarities)
        swapped = [
            prototype_cross_entropy(q_1, log_p_2),
            prototype_cross_entropy(q_2, log_p_1),
        ]
        return sum(swapped) / 2

    def _contrastive(self, batch: Batch, encoded: Encoded, intents: Intents) -> Tensor:
        z, z_1, z_2 = encoded.z, encoded.z_1, encoded.z_2
        by_views = self.settings.contrastive_pairs == "views"
        pairs = [(z_1, z_2), (z_2, z_1) if by_views else (z, z_1)]
        labels = [batch["user_index"]]
        if self.settings.mask_same_target:
            labels.append(batch["target_ids"][:, -1])
        if self.settings.mask_same_intent:
            labels.append(intents.assigned)
        return sum(
            intent_info_nce(
                anchor,
                positive,
                labels,
                self.settings.tau_2,
                prototypes=intents.mu if self.settings.intent_negatives else None,
                intent=intents.assigned,
                decoupled=self.settings.decoupled,
            )
            for anchor, positive in pairs
        )

    def _distillation(self, encoded: Encoded, intents: Intents) -> Tensor:
        teacher, views = intents.mu, [encoded.z_1, encoded.z_2]
        if self.settings.distillation_vectors == "unit":
            teacher = backend.unit(teacher)
            views = [backend.unit(view) for view in views]
        teacher = ops.take(teacher, intents.assigned, axis=0)
        return sum(
            intent_distillation(
                teacher, view, self.settings.tau_3, self.settings.teacher_gradient
            )
            for view in views
        )

    def _adversarial(self, batch: Batch, z: Tensor) -> Tensor:
        ramp = self.settings.gamma_ramp_steps
        scale = dann_ramp(self.steps.progress(ramp)) if ramp else 1.0  # section 4.3
        logits = self.head_tail_classifier(self.gradient_reversal(z, scale=scale))
        by_prefix = self.settings.head_tail_by == "prefix"
        return head_tail_cross_entropy(logits, batch["is_head"], balanced=by_prefix)

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest prototype of each embedding."""
        similarities = self.prototypes(ops.convert_to_tensor(embeddings))
        return np.asarray(ops.convert_to_numpy(self.prototypes.nearest(similarities)))

    def diagnostics(
        self, embeddings: np.ndarray, is_head: np.ndarray
    ) -> dict[str, float]:
        """Use of the prototypes, and how evenly head users spread over them.

        `prototype_perplexity` is exp of the entropy of the share of users per
        prototype, K if all are used alike; `head_rate_*` are quantiles over the
        prototypes in use (Figure 3).
        """
        found = self.clusters(embeddings)
        spread = Spread.of(found, is_head, self.settings.num_intents)
        quartiles = spread.head_rate_quartiles()
        names = ("head_rate_q25", "head_rate_median", "head_rate_q75")
        return {
            "prototype_perplexity": spread.perplexity(),
            **{name: quartiles[name] for name in names},
        }

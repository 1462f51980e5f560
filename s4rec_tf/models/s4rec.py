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

from s4rec_tf import backend
from s4rec_tf.clustering import ClusterDistribution
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.gradient_reversal import GradientReversal
from s4rec_tf.layers.prototypes import Prototypes
from s4rec_tf.layers.schedule import StepCounter, dann_ramp
from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from s4rec_tf.losses.adversarial import head_tail_cross_entropy
from s4rec_tf.losses.clustering import prototype_cross_entropy
from s4rec_tf.losses.contrastive import intent_info_nce
from s4rec_tf.losses.distillation import intent_distillation
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.s4rec_settings import S4RecSettings
from s4rec_tf.models.sasrec import Encoded, views_of
from s4rec_tf.models.teaching import Short, TeachingSASRec
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class EncodedBatch(NamedTuple):
    """Encoded inputs of one training step.

    Attributes:
        samples: rows of L_SR.
        rows: rows of the other terms: the same, or one a user; None in a step
            without any.
        short: these rows cut down; None if no term uses them.
    """

    samples: Encoded
    rows: Encoded | None
    short: Short | None = None


class Intents(NamedTuple):
    """Intents of a batch's sequences.

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
class S4Rec(TeachingSASRec):
    """SASRec, helped by intents, contrast, self-distillation and an adversary."""

    Settings: ClassVar[type[ModelSettings]] = S4RecSettings
    has_intents: ClassVar[bool] = True

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
        self.start_teacher()
        self.steps: Any = StepCounter() if chosen.counts_steps else None
        if self.steps:
            self.steps.build()

    @property
    def needs_views(self) -> bool:
        """Whether any term uses views of L_SR's rows."""
        chosen = self.settings
        shared = chosen.auxiliary_views and chosen.auxiliary_rows == "samples"
        return super().needs_views or shared

    def batch_spec(self) -> BatchSpec:
        """Two views of every row (Eq. 8), if any term uses them; users' rows."""
        chosen = self.settings
        needs = dataclasses.replace(
            super().batch_spec(), head_tail_by=chosen.head_tail_by
        )
        if not chosen.needs_user_rows:
            return needs
        num_views = 2 if chosen.auxiliary_views else 0
        users = BatchSpec(
            self.max_length, num_views=num_views, head_tail_by=chosen.head_tail_by
        )
        return dataclasses.replace(needs, users=users)

    def begin_epoch(
        self, embed_users: Callable[[], np.ndarray], generator: np.random.Generator
    ) -> None:
        """Refreshes the clusters of Table 3's K-means rows."""
        if self.settings.clustering == "kmeans":
            self.prototypes.refit(embed_users(), generator)

    def call(self, batch: Batch, training: bool = False) -> EncodedBatch:
        """Encodes the samples and, where the batch has them, the users' rows."""
        if training and self.steps:
            self.steps.advance()
        if training:
            self.advance_teacher()
        views = views_of(batch) if self.needs_views else []
        if not self.settings.needs_user_rows:
            rows, short = self.encode_with_short(batch, views, training)
            return EncodedBatch(rows, rows, short)
        samples = self.encode_rows(batch, views, training)
        if "users" not in batch:
            return EncodedBatch(samples, None)
        views = views_of(batch["users"]) if self.settings.auxiliary_views else []
        return EncodedBatch(
            samples, *self.encode_with_short(batch["users"], views, training)
        )

    def loss_weights(self) -> dict[str, float]:
        """Eq. 14: L = L_SR + alpha L_Clust + beta_1 L_SCL + beta_2 L_CKD + lambda L_Adv.

        Terms without weight are left out; so is L_Clust with K-means.
        """  # noqa: E501
        return {"next_item": 1.0, **self.settings.auxiliary_weights}

    def scheduled_weights(self) -> dict[str, Tensor]:
        """Eq. 14's weights, those of the auxiliary terms rising over their ramp."""
        weights: dict[str, Tensor] = self.loss_weights()
        ramp = self.settings.auxiliary_ramp_steps
        if not ramp:
            return weights
        progress = self.steps.progress(ramp)
        auxiliary = {name: w * progress for name, w in weights.items()}
        return {**auxiliary, "next_item": weights["next_item"]}

    def present_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The terms beside L_SR, in steps without a batch of users 0."""
        if not self.settings.needs_user_rows:
            return {}
        if "users" in batch:
            has_item = masks.is_real(batch["users"]["item_ids"][:, -1])
            present = ops.cast(ops.any(has_item), "float32")
        else:
            present = ops.zeros(())
        return {name: present for name in self._auxiliary_names()}

    def loss_terms(self, batch: Batch, encoded: EncodedBatch) -> dict[str, Tensor]:
        """Every term of Eq. 14 that has a weight."""
        terms = super().loss_terms(batch, encoded.samples)  # Eq. 1
        if encoded.rows is None:
            return terms | {name: ops.zeros(()) for name in self._auxiliary_names()}
        rows = batch["users"] if self.settings.needs_user_rows else batch
        return terms | self._auxiliary_terms(rows, encoded.rows, encoded.short)

    def _auxiliary_names(self) -> list[str]:
        return [name for name in self.loss_weights() if name != "next_item"]

    def _auxiliary_terms(
        self, batch: Batch, encoded: Encoded, short: Short | None
    ) -> dict[str, Tensor]:
        intents = self._intents(encoded.z)
        terms = {
            "clustering": lambda: self._clustering(encoded, intents),  # Eqs. 3-7
            "contrastive": lambda: self._contrastive(batch, encoded, intents),  # 8-10
            "distillation": lambda: self._distillation(encoded, intents),  # Eqs. 11-12
            "adversarial": lambda: self._adversarial(batch, encoded.z),  # Eq. 13
            "teaching": lambda: self.teaching(batch, encoded, short),
        }
        names = self._auxiliary_names()
        return {name: term() for name, term in terms.items() if name in names}

    def _to_score(self, states: Tensor) -> Tensor:
        """States with their expected intent, in the form that ranks the items."""
        weight = self.settings.predicted_intents
        if not weight:
            return super()._to_score(states)
        states = ops.cast(states, "float32")
        mu = self.prototypes.vectors()
        log_p = self.prototypes.log_assignment(self.prototypes(states, mu))  # Eq. 3
        expected = ops.matmul(ops.exp(log_p), mu)
        if self._by_cosine:
            states = backend.l2_normalize(states)
        return super()._to_score(states + weight * expected)

    @property
    def embeds_with_user_vectors(self) -> bool:
        """Whether z ranks the items."""
        alone = not self.settings.predicted_intents
        return alone and super().embeds_with_user_vectors

    def _intents(self, z: Tensor) -> Intents:
        """Prototypes, targets, similarities and h(u)."""
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
        similarities = [self.prototypes(view, intents.mu) for view in encoded.views]
        q_1, q_2 = map(self._targets, similarities)
        log_p_1, log_p_2 = map(self.prototypes.log_assignment, similarities)
        swapped = [
            prototype_cross_entropy(q_1, log_p_2),
            prototype_cross_entropy(q_2, log_p_1),
        ]
        return sum(swapped) / 2

    def _contrastive(self, batch: Batch, encoded: Encoded, intents: Intents) -> Tensor:
        z, (z_1, z_2) = encoded.z, encoded.views
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
        teacher, views = intents.mu, encoded.views
        if self.settings.distillation_vectors == "unit":
            teacher = backend.l2_normalize(teacher)
            views = [backend.l2_normalize(view) for view in views]
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

    def averaged_weights(self) -> list[Any]:
        """The weights that the teacher has averages of: the prototypes' too."""
        return super().averaged_weights() + self.prototypes.trainable_variables

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest prototype of each embedding."""
        similarities = self.prototypes(ops.convert_to_tensor(embeddings))
        return np.asarray(ops.convert_to_numpy(self.prototypes.nearest(similarities)))

    def intent_shares(self, item_ids: Tensor) -> Tensor:
        """Eq. 3: p [B, K] of histories int32 [B, L]."""
        z = ops.cast(self.sequence_embeddings(item_ids), "float32")
        return ops.exp(self.prototypes.log_assignment(self.prototypes(z)))

    def intent_vectors(self) -> Tensor:
        """The prototypes [K, d] in the form that ranks the items."""
        return self._to_score(self.prototypes.vectors())

    def diagnostics(
        self, embeddings: np.ndarray, is_head: np.ndarray
    ) -> dict[str, float]:
        """Use of the prototypes, and how evenly head users spread over them.

        `prototype_perplexity` is exp of the entropy of the share of users per
        prototype, K if all are used alike; `head_rate_*` are quantiles over the
        prototypes in use (Figure 3).
        """
        found = self.clusters(embeddings)
        spread = ClusterDistribution.of(found, is_head, self.settings.num_intents)
        quartiles = spread.head_rate_quartiles()
        names = ("head_rate_q25", "head_rate_median", "head_rate_q75")
        return {
            "prototype_perplexity": spread.perplexity(),
            **{name: quartiles[name] for name in names},
        }

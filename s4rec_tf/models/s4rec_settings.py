"""Settings of S4Rec, in the paper's letters (arXiv 2404.07219)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.search_ranges import choices, numbers


@dataclasses.dataclass(frozen=True)
class S4RecSettings(SASRecSettings):
    """Settings of S4Rec. A term whose weight is 0 is neither computed nor logged.

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
        predicted_intents: weight of the expected intent in the vector that ranks, z +
            weight sum_k p_k mu_k (section 3.3, E_mu[p(s | z, mu)]), z a unit vector
            where scores are cosines; 0 ranks by z alone.
        teach_weight: weight of a term beside Eq. 14: what the whole sequence predicts,
            over all items and without gradient, is what others have to predict.
        taught: who: short: the same sequence cut down to its last items; views: its
            augmented views.
        short_items: most items that are left; how many is drawn for every row.
        teacher_decay: the teacher is a moving average of the weights, of which a
            training step leaves this share; 0 is the model itself.
        auxiliary_rows: rows that these terms look at. samples: those of L_SR, so
            that a user counts once a prefix; users: batches of users, as many rows as a
            batch has and each user's longest prefix, in every n-th training step, n so
            that an epoch meets each user about once. The paper defines the terms per
            user.
        auxiliary_ramp_steps: training steps over which these four weights rise from 0
            to what they are, linearly; 0 keeps them constant.
        gamma: scale of the reversed gradient that reaches the encoder.
        gamma_ramp_steps: training steps over which gamma rises from 0 as in DANN,
            2 / (1 + exp(-10 t)) - 1; 0 keeps it constant.
        clustering: online: trainable prototypes with balanced targets; kmeans: the
            centroids of all training users' z, refreshed at the start of every epoch
            (the rows SR+CSD and SR+CSD+GR of Table 3). Then L_Clust does not exist,
            h(u) is the nearest centroid, and settings of q, alpha and trainable
            prototypes has no effect.
        clustering_targets: own: q of a sequence teaches its p; swapped: q of one view
            teaches p of the other, as in SwAV, mean of both directions.
        prototype_freeze_steps: training steps in which the prototypes stay as they are.
        normalize_prototypes: L2-normalise z and mu in Eqs. 3 and 5, or for K-means.
        intent_assignment: h(u) is the argmax of q (balanced) or of p.
        contrastive_pairs: views: (z1, z2) and (z2, z1), the published text; original:
            (z1, z2) and (z, z1), the earlier one.
        intent_negatives: whether other intents are negatives (Eq. 10; else Eq. 9).
        mask_same_target: rows with the same next item are not each other's negatives.
        mask_same_intent: rows with the same h(u) are not each other's negatives.
        decoupled: leave the positive out of the denominator, as printed.
        teacher_gradient: whether prototypes learn from the distillation.
        distillation_vectors: distil between raw vectors, or between unit vectors.
        head_tail_by: a row's class is its user's; or that of its own length, uncut,
            with both classes weighing alike.
    """

    num_intents: int = choices(128, 32, 64, 128, 256, 512)
    tau_1: float = numbers(0.1, low=0.05, high=0.5, log=True)
    tau_2: float = numbers(0.1, low=0.05, high=0.5, log=True)
    tau_3: float = 0.1
    epsilon: float = 0.05
    sinkhorn_iterations: int = 3
    alpha: float = numbers(0.01, low=1e-3, high=0.1, log=True)
    beta_1: float = numbers(0.1, low=0.01, high=1.0, log=True)
    beta_2: float = numbers(0.01, low=1e-3, high=0.1, log=True)
    lambda_adv: float = numbers(0.05, low=1e-3, high=0.5, log=True)
    predicted_intents: float = 0.0
    teach_weight: float = 0.0
    taught: Literal["short", "views"] = "short"
    short_items: int = 4
    teacher_decay: float = 0.0
    auxiliary_rows: Literal["samples", "users"] = "samples"
    auxiliary_ramp_steps: int = 0
    gamma: float = 1.0
    gamma_ramp_steps: int = 0
    clustering: Literal["online", "kmeans"] = "online"
    clustering_targets: Literal["own", "swapped"] = "own"
    prototype_freeze_steps: int = 0
    normalize_prototypes: bool = True
    intent_assignment: Literal["q", "p"] = "q"
    contrastive_pairs: Literal["views", "original"] = "views"
    intent_negatives: bool = True
    mask_same_target: bool = False
    mask_same_intent: bool = False
    decoupled: bool = False
    teacher_gradient: bool = False
    distillation_vectors: Literal["raw", "unit"] = "unit"
    head_tail_by: Literal["user", "prefix"] = "user"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tau_1", "tau_2", "tau_3", "epsilon"):
            self._check(name, getattr(self, name) > 0, "must be positive")
        for name in ("num_intents", "sinkhorn_iterations", "short_items"):
            self._check(name, getattr(self, name) >= 1, "must be at least 1")
        weights = ("alpha", "beta_1", "beta_2", "lambda_adv", "gamma")
        more = ("predicted_intents", "teach_weight")
        steps = ("auxiliary_ramp_steps", "gamma_ramp_steps", "prototype_freeze_steps")
        for name in (*weights, *more, *steps):
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        decays = 0 <= self.teacher_decay < 1
        self._check("teacher_decay", decays, "must lie in [0, 1)")

    def _check(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"`{name}` {rule}. Received: {getattr(self, name)}")

    @property
    def has_trainable_prototypes(self) -> bool:
        """Whether any term trains the prototypes."""
        taught = (
            self.alpha > 0
            or (self.beta_1 > 0 and self.intent_negatives)
            or (self.beta_2 > 0 and self.teacher_gradient)
            or self.predicted_intents > 0
        )
        return self.clustering == "online" and taught

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weights above 0 of the terms beside L_SR; K-means has no L_Clust."""
        weights = {
            "clustering": self.alpha if self.clustering == "online" else 0.0,
            "contrastive": self.beta_1,
            "distillation": self.beta_2,
            "adversarial": self.lambda_adv,
            "teaching": self.teach_weight,
        }
        return {name: weight for name, weight in weights.items() if weight > 0}

    @property
    def auxiliary_views(self) -> bool:
        """Whether any term beside L_SR uses augmented views."""
        names = {"contrastive", "distillation"}
        names |= {"teaching"} if self.taught == "views" else set()
        names |= {"clustering"} if self.clustering_targets == "swapped" else set()
        return not names.isdisjoint(self.auxiliary_weights)

    @property
    def needs_short(self) -> bool:
        """Whether any term uses sequences cut down to their last items."""
        return self.teach_weight > 0 and self.taught == "short"

    @property
    def has_average_teacher(self) -> bool:
        """Whether a moving average of the weights is needed."""
        return self.teach_weight > 0 and self.teacher_decay > 0

    @property
    def needs_user_rows(self) -> bool:
        """Whether any term uses batches of users."""
        return self.auxiliary_rows == "users" and bool(self.auxiliary_weights)

    @property
    def counts_steps(self) -> bool:
        """Whether anything depends on the number of training steps."""
        steps = (
            self.auxiliary_ramp_steps,
            self.gamma_ramp_steps,
            self.prototype_freeze_steps,
        )
        return any(steps)

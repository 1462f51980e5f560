"""SSI: sequential recommendation consistency with self-supervised imitation.

Yuan et al., "Improving Sequential Recommendation Consistency with Self-Supervised
Imitation", IJCAI 2021, arXiv 2106.14031. Three teachers (`ssi_teacher.py`) are trained
on whole sessions first; then a student, who sees the past alone, learns to predict the
next item, to predict it as they do, and to see items as they do.

Not reproduced: tables of users and of output items in the student HGN, which takes the
mean of a history for its user, and has a linear layer behind it instead. The teachers
have two blocks of width 64 here, not eight of 256 (`teacher_layers`, `teacher_dim`,
`teacher_heads`). All score by cosine; item vectors are compared as unit vectors, of the
batch's next items, by their squared distance, not the mean over coordinates, which
would be next to nothing. The paper's D of Eqs. 1-2, exchanged and replaced n-grams, has
one n-gram a sequence, in half of the sequences.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from s4rec_tf import backend
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.layers import masks
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.students import GRUStudent, HGNStudent
from s4rec_tf.losses import imitation, next_item
from s4rec_tf.models.base import ModelSettings, SequenceRecommender
from s4rec_tf.models.ssi_teacher import TASKS, Teacher
from s4rec_tf.models.weighted_terms import Batch
from s4rec_tf.search_ranges import choices, numbers

Tensor = Any

TEACH = "teach"


@dataclasses.dataclass(frozen=True)
class SSISettings(ModelSettings):
    """Settings of SSI.

    Attributes:
        student: hgn; or gru, which makes SSI_GRU4Rec of Table 2.
        window: items that a student hgn gates.
        dim: d, width of the student.
        dropout: rate, of teachers and student.
        score_temperature: of the cosine of state and item vector.
        teacher_epochs: epochs of the first stage.
        teacher_dim: width of the teachers.
        teacher_layers: attention blocks of each teacher.
        teacher_heads: heads of each block.
        mask_prob: rho, share of the items that teachers find hidden.
        last_share: share of the samples whose last item is hidden for certain.
        consistency_weight: lambda_1 to lambda_3 of Eq. 4.
        session_tau: temperature of the global session's contrast (Eq. 3).
        teachers: which of temporal, persona and session there are.
        imitates_predictions: whether the student imitates them (Eq. 5).
        imitates_items: whether the student imitates item vectors (Eq. 6).
    """

    student: Literal["hgn", "gru"] = "hgn"
    window: int = 5
    dim: int = choices(64, 32, 64, 128)
    dropout: float = numbers(0.3, low=0.1, high=0.7)
    score_temperature: float = numbers(0.07, low=0.03, high=0.2, log=True)
    teacher_epochs: int = 10
    teacher_dim: int = 64
    teacher_layers: int = 2
    teacher_heads: int = 2
    mask_prob: float = 0.2
    last_share: float = 1.0
    consistency_weight: float = numbers(1.0, low=0.1, high=2.0, log=True)
    session_tau: float = 0.1
    teachers: tuple[str, ...] = TASKS
    imitates_predictions: bool = True
    imitates_items: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = ("dim", "teacher_epochs", "teacher_dim", "teacher_layers")
        for name in (*sizes, "teacher_heads", "window"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        for name in ("dropout", "mask_prob", "last_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` must lie in [0, 1]. Received: {getattr(self, name)}"
                )
        for name in ("score_temperature", "session_tau"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {getattr(self, name)}"
                )
        if self.consistency_weight < 0:
            raise ValueError(
                "`consistency_weight` must not be negative. "
                f"Received: {self.consistency_weight}"
            )
        if not self.teachers or set(self.teachers) - set(TASKS):
            raise ValueError(
                f"`teachers` must be one or more of {', '.join(TASKS)}. "
                f"Received: {self.teachers}"
            )

    @property
    def imitates(self) -> bool:
        """Whether the student imitates anything, and so needs a teacher."""
        return self.imitates_predictions or self.imitates_items


@keras.saving.register_keras_serializable(package="s4rec_tf")
class SSI(SequenceRecommender):
    """A small student that imitates three consistent teachers."""

    Settings: ClassVar[type[ModelSettings]] = SSISettings

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        chosen: SSISettings = self.settings
        self.item_embedding = ItemEmbedding(num_items, chosen.dim)
        self.item_embedding.build()
        # The student sees no hidden item.
        self.item_embedding.mask_vector.trainable = False
        self.student: keras.layers.Layer
        if chosen.student == "gru":
            self.student = GRUStudent(chosen.dim, chosen.dropout)
        else:
            self.student = HGNStudent(chosen.dim, chosen.dropout, chosen.window)
        self.student.build()
        tasks = chosen.teachers if chosen.imitates else ()
        self.teachers = [Teacher(task, num_items, chosen) for task in tasks]
        for teacher in self.teachers:
            teacher.build()
        self._make_imitation_weights()

    def _make_imitation_weights(self) -> None:
        """Lambda, as its logarithm [n], and what widens the student's item vectors."""
        if not self.teachers:
            return
        self.log_weights = self.add_weight(
            shape=(len(self.teachers),), initializer="zeros", name="log_weights"
        )
        chosen = self.settings
        self.projection: Any = None
        if chosen.imitates_items and chosen.teacher_dim != chosen.dim:
            self.projection = keras.layers.Dense(chosen.teacher_dim, name="projection")
            self.projection.build((None, chosen.dim))

    def pretraining_stages(self) -> dict[str, int]:
        """The teachers' training."""
        imitates = self.settings.imitates
        return {TEACH: self.settings.teacher_epochs} if imitates else {}

    def batch_spec(self) -> BatchSpec:
        """Nothing beyond the items."""
        return BatchSpec(self.max_length)

    def call(self, batch: Batch, training: bool = False) -> Any:
        """The teachers' losses; or the student's vectors [B, d]."""
        if self.stage == TEACH:
            return [teacher(batch, training=training) for teacher in self.teachers]
        return self._predict(batch["item_ids"], training)

    def loss_weights(self) -> dict[str, float]:
        """Eq. 4 of every teacher; then Eq. 8."""
        if self.stage == TEACH:
            weights = {}
            for task in self.settings.teachers:
                weights[f"{task}_gaps"] = 1.0
                weights[task] = self.settings.consistency_weight
            return weights
        weights = {"next_item": 1.0}
        if self.settings.imitates_predictions:
            weights["prediction_imitation"] = 1.0
        if self.settings.imitates_items:
            weights["item_imitation"] = 1.0
        if self.settings.imitates:
            weights["teacher_weights"] = 1.0
        return weights

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Every term of the stage."""
        if self.stage == TEACH:
            terms = {}
            for task, (gaps, own) in zip(self.settings.teachers, encoded, strict=True):
                terms[f"{task}_gaps"], terms[task] = gaps, own
            return terms
        target_ids = batch["target_ids"][:, -1]
        terms = {"next_item": self._next_item(encoded, target_ids)}
        if not self.teachers:
            return terms
        weights = self.teacher_weights()
        if self.settings.imitates_predictions:
            found = self._prediction_imitation(batch, encoded)  # Eq. 5
            terms["prediction_imitation"] = ops.sum(weights * found)  # Eq. 7
        if self.settings.imitates_items:
            found = self._item_imitation(target_ids)  # Eq. 6
            terms["item_imitation"] = ops.sum(weights * found)  # Eq. 7
        terms["teacher_weights"] = imitation.teacher_weight_penalty(weights)  # Eq. 8
        return terms

    def teacher_weights(self) -> Tensor:
        """Lambda [n], 1 at first, positive throughout."""
        return ops.exp(ops.convert_to_tensor(self.log_weights))

    def _next_item(self, vectors: Tensor, target_ids: Tensor) -> Tensor:
        losses = next_item.softmax(vectors, self.item_vectors(), target_ids)
        return next_item.mean_over_targets(losses, target_ids)

    def _prediction_imitation(self, batch: Batch, vectors: Tensor) -> Tensor:
        items = self.item_vectors()
        return ops.stack(
            [
                ops.mean(
                    imitation.prediction_imitation(
                        ops.stop_gradient(teacher.user_vectors(batch["item_ids"])),
                        ops.stop_gradient(teacher.item_vectors()),
                        vectors,
                        items,
                    )
                )
                for teacher in self.teachers
            ]
        )

    def _item_imitation(self, target_ids: Tensor) -> Tensor:
        rows = ops.maximum(target_ids - 1, 0)
        own = backend.gather_rows(self.item_vectors(), rows)
        if self.projection is not None:
            own = backend.l2_normalize(self.projection(own))
        return ops.stack(
            [
                imitation.representation_imitation(
                    backend.gather_rows(teacher.item_vectors(), rows), own
                )
                for teacher in self.teachers
            ]
        )

    def _predict(self, item_ids: Tensor, training: bool = False) -> Tensor:
        item_ids = backend.trim_padding(item_ids, num_columns=1)
        vectors, is_real = self.item_embedding(item_ids), masks.is_real(item_ids)
        states = self.student(vectors, is_real, training=training)
        return backend.l2_normalize(states) / self.settings.score_temperature

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """The student's state, in the form that ranks the items, [B, d]."""
        return self._predict(item_ids)

    def item_vectors(self) -> Tensor:
        """The student's item table, unit rows [V, d]."""
        return backend.l2_normalize(
            ops.convert_to_tensor(self.item_embedding.table.value)
        )

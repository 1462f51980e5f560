"""A term of S4Rec that is not in the paper: whole histories teach shorter rows.

The distribution over the items that a whole history gives is imitated by the same
history cut down to its last items, or by its views (docs/deviations.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from s4rec_tf.layers.moving_average import MovingAverage
from s4rec_tf.layers.segments import last_items
from s4rec_tf.losses.imitation import prediction_imitation
from s4rec_tf.models.base import last_state
from s4rec_tf.models.sasrec import Encoded, SASRec
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class Short(NamedTuple):
    """A batch's rows cut down to their last items.

    Attributes:
        z: their embeddings [B, d].
        is_cut: whether the row had more items, bool [B].
    """

    z: Tensor
    is_cut: Tensor


class TeachingSASRec(SASRec):
    """SASRec whose whole histories can teach rows cut down, or views.

    Args:
        settings: of a model whose settings have those of teaching, `S4RecSettings` say.
        num_items: items of the vocabulary.
    """

    def __init__(self, settings: Any, num_items: int, **kwargs: Any) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.average: Any = None

    def start_teacher(self) -> None:
        """Begins the teacher's averages; called when all weights exist."""
        if self.settings.has_average_teacher:
            self.average = MovingAverage(self.settings.teacher_decay)
            self.average.start(self.averaged_weights())

    def advance_teacher(self) -> None:
        """Takes a step's weights into the averages."""
        if self.average:
            self.average.advance(self.averaged_weights())

    def averaged_weights(self) -> list[Any]:
        """The weights that the teacher has averages of."""
        layers = (self.item_embedding, self.encoder)
        return [weight for layer in layers for weight in layer.trainable_variables]

    def encode_with_short(
        self, batch: Batch, views: list[Tensor], training: bool
    ) -> tuple[Encoded, Short | None]:
        """Rows with their views; and each cut down, if a term uses that."""
        if not self.settings.needs_short:
            return self.encode_rows(batch, views, training), None
        seed, shape = self.encoder.seed_generator, ops.shape(batch["item_ids"][:, :1])
        noise = keras.random.uniform(shape, seed=seed)
        cut = last_items(batch["item_ids"], noise, self.settings.short_items)
        encoded = self.encode_rows(batch, [*views, cut], training)
        *of_views, z = encoded.views
        is_cut = ops.any(ops.not_equal(cut, batch["item_ids"]), axis=1)
        return encoded._replace(views=of_views), Short(z, is_cut)

    def teaching(self, batch: Batch, encoded: Encoded, short: Short | None) -> Tensor:
        """KL(p(s | S) || p(s | S')), S' the views or S cut down, mean over the rows.

        Of the rows cut down, those count that have lost an item.
        """
        teacher, teacher_items = self._teacher(batch, encoded)
        items, students = self.item_vectors(), [short.z] if short else encoded.views
        losses = sum(
            prediction_imitation(teacher, teacher_items, self._to_score(z), items)
            for z in students
        )
        if not short:
            return ops.mean(losses)
        weights = ops.cast(short.is_cut, losses.dtype)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)

    def _teacher(self, batch: Batch, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The teacher's user vectors of whole rows, and item vectors; no gradient."""
        if not self.average:
            vectors = self._to_score(encoded.z), self.item_vectors()
        else:
            with self.average.in_place_of(self.averaged_weights()):
                states = self.encode(batch["item_ids"], 1, packs=True)
                vectors = self._to_score(last_state(states)), self.item_vectors()
        return ops.stop_gradient(vectors[0]), ops.stop_gradient(vectors[1])

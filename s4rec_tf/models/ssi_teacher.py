"""SSI's teachers: BERT4Rec, each with a sense of consistency of its own (Eqs. 1-4)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.layers import segments
from s4rec_tf.layers.item_embedding import ItemEmbedding
from s4rec_tf.layers.packed_encoding import embed_parts, encode_packed
from s4rec_tf.layers.packing import Packing
from s4rec_tf.layers.transformer import Transformer
from s4rec_tf.losses import next_item
from s4rec_tf.losses.contrastive import info_nce
from s4rec_tf.models.bert4rec import cloze_mask, whole_sequences, with_gap
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any

TASKS = ("temporal", "persona", "session")
_INT_ID = -2
"""Id of the token [INT], whose state predicts whether a sequence is consistent."""


@keras.saving.register_keras_serializable(package="s4rec_tf")
class Teacher(keras.layers.Layer):
    """Fills gaps and learns one of three kinds of consistency.

    Args:
        task: `temporal`: whether parts have changed places; `persona`: whether a part
            is another user's; `session`: which part was cut out of a sequence.
        num_items: V.
        settings: SSI's.
    """

    def __init__(self, task: str, num_items: int, settings: Any, **kwargs: Any) -> None:
        super().__init__(name=f"{task}_teacher", **kwargs)
        self.task, self.settings = task, settings
        dim = settings.teacher_dim
        self.item_embedding = ItemEmbedding(num_items, dim)
        self.encoder = Transformer(
            settings.max_length,
            dim,
            settings.teacher_layers,
            settings.teacher_heads,
            settings.dropout,
            is_causal=False,
        )
        self.classifier: list[keras.layers.Layer] = []
        if task != "session":
            self.classifier = [
                keras.layers.Dense(dim, activation="gelu", name="hidden"),
                keras.layers.Dense(1, name="is_consistent"),
            ]

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        dim = self.settings.teacher_dim
        self.item_embedding.build()
        self.encoder.build()
        if self.classifier:
            self.int_vector = self.add_weight(
                shape=(dim,),
                initializer=keras.initializers.TruncatedNormal(stddev=0.02),
                name="int_vector",
            )
        for layer in self.classifier:
            layer.build((None, dim))
        self.built = True

    def call(self, batch: Batch, training: bool = False) -> tuple[Tensor, Tensor]:
        """L_MLM and the loss of the teacher's consistency, scalars (Eq. 4)."""
        item_ids = whole_sequences(batch)
        settings, seed = self.settings, self.encoder.seed_generator
        cloze = cloze_mask(item_ids, settings.mask_prob, settings.last_share, seed)
        if self.task == "session":
            asked, labels = self._parts(item_ids), batch["user_index"]
        else:
            asked, labels = self._questions(item_ids, batch["user_index"])
        all_ids = ops.concatenate([cloze.item_ids, *asked])
        states = ops.split(self.encode(all_ids, training), 1 + len(asked))
        last = [part[:, -1] for part in states[1:]]
        if self.task == "session":
            context, segment = last
            tau = settings.session_tau
            consistency = info_nce(context, segment, [labels], tau)  # Eq. 3
        else:
            consistency = self._cross_entropy(last[0], labels)  # Eqs. 1-2
        return self._fill(states[0], cloze.target_ids), consistency

    def encode(self, item_ids: Tensor, training: bool = False) -> Tensor:
        """States of all positions; int32 [B, L] -> [B, L, d']."""
        length = self.settings.max_length
        return encode_packed(
            self._embed, self.encoder, item_ids, length, training=training
        )

    def _embed(self, packings: list[Packing]) -> list[Tensor]:
        vectors = embed_parts(self.item_embedding, packings)
        if not self.classifier:
            return vectors
        return [
            ops.where(
                ops.equal(packing.item_ids, _INT_ID)[..., None],
                ops.cast(self.int_vector, part.dtype),
                part,
            )
            for packing, part in zip(packings, vectors, strict=True)
        ]

    def _questions(
        self, item_ids: Tensor, user_index: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Sequences with [INT] behind, half of them disturbed; whether they are not."""
        seed, shape = self.encoder.seed_generator, ops.shape(item_ids[:, :1])
        width, place, chance = (
            keras.random.uniform(shape, seed=seed) for _ in range(3)
        )
        if self.task == "temporal":
            segment = segments.draw_segment(item_ids, width, place, narrowest=2)
            disturbed = segments.exchange_halves(item_ids, segment)
        else:
            segment = segments.draw_segment(item_ids, width, place)
            is_other = ops.not_equal(user_index, ops.roll(user_index, 1))[:, None]
            others = ops.where(is_other, ops.roll(item_ids, 1, axis=0), spec.PAD_ID)
            disturbed = segments.replace(item_ids, segment, others)
        shown = ops.where(chance < 0.5, disturbed, item_ids)
        is_consistent = ops.all(ops.equal(shown, item_ids), axis=1)
        question = ops.full_like(item_ids[:, :1], _INT_ID)
        return [ops.concatenate([shown[:, 1:], question], axis=1)], is_consistent

    def _parts(self, item_ids: Tensor) -> list[Tensor]:
        """Sequences with a hidden segment, and the segments alone."""
        seed, shape = self.encoder.seed_generator, ops.shape(item_ids[:, :1])
        noise = [keras.random.uniform(shape, seed=seed) for _ in range(2)]
        segment = segments.draw_segment(item_ids, *noise)
        return [segments.hide(item_ids, segment), segments.alone(item_ids, segment)]

    def _cross_entropy(self, states: Tensor, is_consistent: Tensor) -> Tensor:
        """Mean of -y log h(x) - (1 - y) log(1 - h(x))."""
        for layer in self.classifier:
            states = layer(states)
        logits = states[:, 0]
        return ops.mean(ops.softplus(ops.where(is_consistent, -logits, logits)))

    def _fill(self, states: Tensor, target_ids: Tensor) -> Tensor:
        """L_MLM: -log softmax of what a gap hid, mean over gaps."""
        states, target_ids = backend.rows_with_target(states, target_ids)
        to_score = self._to_score(states)
        losses = next_item.softmax(to_score, self.item_vectors(), target_ids)
        return next_item.mean_over_targets(losses, target_ids)

    def _to_score(self, states: Tensor) -> Tensor:
        return backend.l2_normalize(states) / self.settings.score_temperature

    def user_vectors(self, item_ids: Tensor) -> Tensor:
        """User vectors: the state of a gap behind the history, [B, d']."""
        states = encode_packed(
            self._embed,
            self.encoder,
            with_gap(item_ids, self.settings.max_length),
            1,
            packs=True,
        )
        return self._to_score(states[:, -1])

    def item_vectors(self) -> Tensor:
        """Unit vectors of all items [V, d']."""
        return backend.l2_normalize(
            ops.convert_to_tensor(self.item_embedding.table.value)
        )

"""User vectors of a whole split, without computing on padding."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender

_BATCH = 512

_compiled: weakref.WeakKeyDictionary[Any, dict[str, Callable[..., Any]]] = (
    weakref.WeakKeyDictionary()
)


def encode_users(model: SequenceRecommender, sequences: Sequences) -> np.ndarray:
    """Vectors of all users of a split, float32 [N, d], in the split's order.

    The users are encoded in batches of like length. The encoder is traced once a
    model, so that validating every epoch costs no tracing.
    """
    return _encode(model, "user_vectors", sequences)


def embed_users(model: SequenceRecommender, sequences: Sequences) -> np.ndarray:
    """Sequence embeddings z of all users, as `encode_users` gives the user vectors."""
    if model.embeds_with_user_vectors:
        return encode_users(model, sequences)
    return _encode(model, "sequence_embeddings", sequences)


def _encode(
    model: SequenceRecommender, method: str, sequences: Sequences
) -> np.ndarray:
    encode = _encoder_of(model, method)
    order = np.argsort(sequences.lengths, kind="stable")
    parts = []
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        item_ids = sequences.padded(rows, model.max_length)
        parts.append(encode(tf.constant(item_ids)).numpy())
    if not parts:
        return np.zeros((0, model.item_vectors().shape[1]), np.float32)
    vectors = np.concatenate(parts)
    restored = np.empty_like(vectors)
    restored[order] = vectors
    return restored


def _encoder_of(model: SequenceRecommender, method: str) -> Callable[..., Any]:
    known = _compiled.setdefault(model, {})
    if method not in known:
        reference = weakref.ref(model)
        signature = [tf.TensorSpec([None, model.max_length], tf.int32)]
        known[method] = tf.function(
            lambda item_ids: getattr(reference(), method)(item_ids),
            input_signature=signature,
        )
    return known[method]

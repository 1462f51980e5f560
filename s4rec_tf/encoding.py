"""User vectors of a whole split, without computing on padding."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from s4rec_tf import backend
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender

_BATCH = 512
_NARROWEST = 8

Encoder = Callable[[np.ndarray], np.ndarray]

_compiled: weakref.WeakKeyDictionary[Any, dict[str, Encoder]] = (
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
        parts.append(encode(sequences.padded(rows, model.max_length)))
    if not parts:
        return np.zeros((0, model.item_vectors().shape[1]), np.float32)
    vectors = np.concatenate(parts)
    restored = np.empty_like(vectors)
    restored[order] = vectors
    return restored


def _encoder_of(model: SequenceRecommender, method: str) -> Encoder:
    known = _compiled.setdefault(model, {})
    if method not in known:
        make = _tensorflow_encoder if backend.IS_TENSORFLOW else _jax_encoder
        known[method] = make(weakref.ref(model), method, model.max_length)
    return known[method]


def _tensorflow_encoder(reference: Any, method: str, max_length: int) -> Encoder:
    """Maps int32 [b, L] to vectors [b, d]; the graph leaves padding out."""
    import tensorflow as tf

    traced = tf.function(
        lambda item_ids: getattr(reference(), method)(item_ids),
        input_signature=[tf.TensorSpec([None, max_length], tf.int32)],
    )

    def encode(item_ids: np.ndarray) -> np.ndarray:
        return np.asarray(traced(tf.constant(item_ids)))

    return encode


def _jax_encoder(reference: Any, method: str, max_length: int) -> Encoder:
    """As `_tensorflow_encoder`, compiled for few shapes, of which `encode` takes care.

    In full precision, since JAX rounds factors of products on some devices.
    """
    import jax

    @jax.jit
    @jax.default_matmul_precision("highest")
    def traced(values: list[Any], item_ids: Any) -> Any:
        model = reference()
        pairs = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return getattr(model, method)(item_ids)

    # A device with much computing power to spare wants fewer compilations instead.
    narrowest = _NARROWEST if jax.default_backend() == "cpu" else max_length

    def encode(item_ids: np.ndarray) -> np.ndarray:
        longest, width = int(np.max(np.sum(item_ids != 0, axis=1))), narrowest
        while width < longest:
            width *= 2
        narrow = item_ids[:, -min(width, max_length) :]
        missing = _BATCH - len(narrow)
        values = [variable.value for variable in reference().variables]
        encoded = traced(values, np.pad(narrow, ((0, missing), (0, 0))))
        return np.asarray(encoded)[: len(narrow)]

    return encode

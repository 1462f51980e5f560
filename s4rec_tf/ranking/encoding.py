"""User vectors of a whole split, without computing on padding; scores of pairs."""

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
_PAIRS_AT_ONCE = 1 << 16

Encoder = Callable[..., np.ndarray]

_compiled: weakref.WeakKeyDictionary[Any, dict[str, Encoder]] = (
    weakref.WeakKeyDictionary()
)


def encode_users(model: SequenceRecommender, sequences: Sequences) -> np.ndarray:
    """Vectors of all users of a split, float32 [N, d], in the split's order.

    The users are encoded in batches of like length. The encoder is traced once a
    model, so that validating every epoch costs no tracing. A model with user embeddings
    also receives the users' rows.
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
    users = None
    if method == "user_vectors":
        users = model.index_of_users(sequences.user_ids)
    order = np.argsort(sequences.lengths, kind="stable")
    parts = []
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        who = [] if users is None else [users[rows]]
        parts.append(encode(sequences.padded(rows, model.max_length), *who))
    if not parts:
        return np.zeros((0, model.item_vectors().shape[1]), np.float32)
    vectors = np.concatenate(parts)
    restored = np.empty_like(vectors)
    restored[order] = vectors
    return restored


def padding_influence(model: SequenceRecommender, sequences: Sequences) -> float:
    """The shift of the shortest history's vector by padding, as a share of it.

    It is encoded by itself, where padding is cut off, and beside the longest history,
    where it is not. 0 for an encoder that looks at items alone.
    """
    order = np.argsort(sequences.lengths, kind="stable")
    rows, encode = order[[0, -1]], _encoder_of(model, "user_vectors")
    users = model.index_of_users(sequences.user_ids)
    item_ids = sequences.padded(rows, model.max_length)
    who = [] if users is None else [users[rows]]
    alone = encode(item_ids[:1], *(index[:1] for index in who))[0]
    moved = np.linalg.norm(encode(item_ids, *who)[0] - alone)
    return float(moved / max(np.linalg.norm(alone), np.finfo(np.float32).tiny))


def pair_scorer(model: SequenceRecommender) -> Encoder | None:
    """The model's `pair_scores` on arrays, float32; None if scores are products.

    Takes user vectors [N, 1, d] and item vectors [1 or N, n, e], gives scores [N, n].
    """
    if model.is_dot_product:
        return None
    known = _compiled.setdefault(model, {})
    if "pair_scores" not in known:
        make = _tensorflow_function if backend.IS_TENSORFLOW else _jax_function
        known["pair_scores"] = _in_parts(make(weakref.ref(model), "pair_scores"))
    return known["pair_scores"]


def _in_parts(score: Encoder) -> Encoder:
    """Bounds the pairs at once; all parts but smaller wholes are of the same shape."""

    def score_all(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        size = max(_PAIRS_AT_ONCE // max(items.shape[1], 1), 1)
        found = np.empty((len(users), items.shape[1]), np.float32)
        for start in range(0, len(users), size):
            rows = slice(start, min(start + size, len(users)))
            missing = size - (rows.stop - rows.start)
            part = np.pad(users[rows], ((0, missing), (0, 0), (0, 0)))
            own = items
            if len(items) > 1:
                own = np.pad(items[rows], ((0, missing), (0, 0), (0, 0)))
            found[rows] = score(part, own)[: rows.stop - rows.start]
        return found

    return score_all


def _encoder_of(model: SequenceRecommender, method: str) -> Encoder:
    known = _compiled.setdefault(model, {})
    if method not in known:
        make = _tensorflow_encoder if backend.IS_TENSORFLOW else _jax_encoder
        known[method] = make(weakref.ref(model), method, model.max_length)
    return known[method]


def _tensorflow_function(reference: Any, method: str) -> Encoder:
    """A method of the model as a function of arrays, compiled for every shape."""
    import tensorflow as tf

    traced = tf.function(
        lambda *tensors: getattr(reference(), method)(*tensors), jit_compile=True
    )

    def call(*arrays: np.ndarray) -> np.ndarray:
        return np.asarray(traced(*map(tf.constant, arrays)))

    return call


def _jax_function(reference: Any, method: str) -> Encoder:
    """Compiles a method of the model as `_tensorflow_function` does.

    In full precision, since JAX rounds factors of products on some devices.
    """
    import jax

    @jax.jit
    @jax.default_matmul_precision("highest")
    def traced(values: list[Any], *arrays: Any) -> Any:
        model = reference()
        pairs = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return getattr(model, method)(*arrays)

    def call(*arrays: np.ndarray) -> np.ndarray:
        values = [variable.value for variable in reference().variables]
        return np.asarray(traced(values, *arrays))

    return call


def _tensorflow_encoder(reference: Any, method: str, max_length: int) -> Encoder:
    """Maps int32 [b, L] (and [b]) to vectors [b, d]; the graph leaves padding out."""
    import tensorflow as tf

    rows = tf.TensorSpec([None, max_length], tf.int32)
    signature = [rows, tf.TensorSpec([None], tf.int32)]
    call = lambda *tensors: getattr(reference(), method)(*tensors)  # noqa: E731
    alone = tf.function(call, input_signature=signature[:1])
    with_users = tf.function(call, input_signature=signature)

    def encode(item_ids: np.ndarray, *who: np.ndarray) -> np.ndarray:
        traced = with_users if who else alone
        return np.asarray(traced(tf.constant(item_ids), *map(tf.constant, who)))

    return encode


def _jax_encoder(reference: Any, method: str, max_length: int) -> Encoder:
    """Does the same as `_tensorflow_encoder`, in few shapes, since each is compiled."""
    import jax

    call = _jax_function(reference, method)
    # On an accelerator a compilation costs more than the padding.
    narrowest = _NARROWEST if jax.default_backend() == "cpu" else max_length

    def encode(item_ids: np.ndarray, *who: np.ndarray) -> np.ndarray:
        longest, width = int(np.max(np.sum(item_ids != 0, axis=1))), narrowest
        while width < longest:
            width *= 2
        narrow = item_ids[:, -min(width, max_length) :]
        missing = _BATCH - len(narrow)
        padded = np.pad(narrow, ((0, missing), (0, 0)))
        encoded = call(padded, *(np.pad(index, (0, missing)) for index in who))
        return encoded[: len(narrow)]

    return encode

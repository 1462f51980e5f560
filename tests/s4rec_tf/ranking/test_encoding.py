"""Encoding of whole splits, by a stand-in whose vectors are sums that one can check."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from s4rec_tf.ranking import encoding
from tests.s4rec_tf.ranking.test_ranking import sequences_of

ROOT = Path(__file__).parents[3]
HISTORIES = [[5, 6, 7], [1], [2, 3], [4, 4, 4, 4], [9, 8]]


class Sums:
    """User vectors [sum of items, index of the user]; -9 where no users are known."""

    max_length = 3
    is_dot_product = True
    embeds_with_user_vectors = True
    padding_weight = 0.0

    def __init__(self, has_users=False):
        self.has_users = has_users
        self.scored_shapes = []

    def index_of_users(self, user_ids):
        if not self.has_users:
            return None
        return np.array([int(user[-3:]) for user in user_ids], np.int32)

    def user_vectors(self, item_ids, user_index=None):
        sums = tf.reduce_sum(tf.cast(item_ids, tf.float32), axis=1)
        lengths = tf.reduce_sum(tf.cast(item_ids > 0, tf.float32), axis=1)
        sums += self.padding_weight * (tf.reduce_max(lengths) - lengths)
        if user_index is None:
            user_index = -9 * tf.ones_like(item_ids[:, 0])
        return tf.stack([sums, tf.cast(user_index, tf.float32)], axis=1)

    def sequence_embeddings(self, item_ids):
        return -self.user_vectors(item_ids)

    def item_vectors(self):
        return tf.zeros((9, 2))

    def pair_scores(self, users, items):
        self.scored_shapes.append((users.shape[0], items.shape[1]))  # one a tracing
        return users[:, 0, :1] * 100 + items[..., 0]


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch):
    monkeypatch.setattr(encoding, "_BATCH", 2)


@pytest.mark.parametrize("has_users", [False, True])
def test_vectors_are_in_the_order_of_the_split(has_users):
    found = encoding.encode_users(Sums(has_users), sequences_of(HISTORIES, [1] * 5))
    # The last three items; what is before them is cut off.
    indices = range(5) if has_users else [-9] * 5
    expected = [list(pair) for pair in zip((18, 1, 5, 12, 17), indices, strict=True)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_a_split_without_users_has_no_vectors():
    found = encoding.encode_users(Sums(), sequences_of([], []))
    assert found.shape == (0, 2) and found.dtype == np.float32


@pytest.mark.parametrize("are_user_vectors", [False, True])
def test_sequence_embeddings_are_the_models_own(are_user_vectors):
    model = Sums()
    model.embeds_with_user_vectors = are_user_vectors
    found = encoding.embed_users(model, sequences_of(HISTORIES, [1] * 5))
    sign = 1 if are_user_vectors else -1
    np.testing.assert_array_equal(sign * found[:, 0], [18, 1, 5, 12, 17])


@pytest.mark.parametrize(("has_users", "length"), [(False, 82**0.5), (True, 2**0.5)])
def test_influence_of_padding_is_relative_to_the_vector(has_users, length):
    model, sequences = Sums(has_users), sequences_of(HISTORIES, [1] * 5)
    assert encoding.padding_influence(model, sequences) == 0
    model = Sums(has_users)
    model.padding_weight = 0.5  # of two items that [1] lacks
    found = encoding.padding_influence(model, sequences)
    assert found == pytest.approx(1 / length, rel=1e-6)


@pytest.mark.parametrize(("num_items", "num_rows"), [(1, 7), (3, 2), (50, 1)])
@pytest.mark.parametrize("has_own_items", [False, True])
def test_scores_of_pairs_are_the_same_in_parts(
    num_items, num_rows, has_own_items, monkeypatch
):
    monkeypatch.setattr(encoding, "_PAIRS_AT_ONCE", 7)
    model = Sums()
    model.is_dot_product = False
    users = np.arange(10, dtype=np.float32).reshape(5, 1, 2)
    shape = (5 if has_own_items else 1, num_items, 2)
    items = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = encoding.pair_scorer(model)(users, items)
    np.testing.assert_array_equal(found, users[:, 0, :1] * 100 + items[..., 0])
    assert model.scored_shapes == [(num_rows, num_items)]


def test_products_need_no_scorer():
    assert encoding.pair_scorer(Sums()) is None


def test_the_encoder_for_jax():
    """In a process of its own: JAX's threads and the forks of other tests clash."""
    file = Path(__file__).with_name("jax_widths.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, file], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

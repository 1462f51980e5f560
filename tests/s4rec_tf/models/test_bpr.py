"""BPR-MF, and what all models with a table of users do with it."""

import keras
import numpy as np
import pytest

from s4rec_tf.models import users
from s4rec_tf.models.bpr import BPR
from tests.s4rec_tf.small_runs import as_numpy

NUM_ITEMS, NUM_USERS, DIM = 9, 5, 4


@pytest.fixture
def model():
    keras.utils.set_random_seed(4)
    made = BPR({"dim": DIM, "max_length": 6}, NUM_ITEMS, NUM_USERS)
    made.register_users(
        np.array([f"user {n}".encode() for n in range(NUM_USERS)], object)
    )
    generator = np.random.default_rng(2)
    for weight in made.trainable_weights:
        weight.assign(generator.normal(size=weight.shape))
    return made


def test_loss_is_the_papers(model):
    batch = {
        "item_ids": np.array([[0, 0, 3], [0, 1, 2], [4, 5, 6]], np.int32),
        "target_ids": np.array([[8], [9], [1]], np.int32),
        "negative_ids": np.array([[5], [7], [0]], np.int32),
        "user_index": np.array([0, 3, 1], np.int32),
    }
    terms = model.loss_terms(batch, model(batch))
    w, h = as_numpy(model.users.table), as_numpy(model.items.table)
    b = as_numpy(model.bias.table)[:, 0]
    losses, squares = [], []
    # Row 0 ends at the user's first action, which so counts too.
    for u, i, j in [(0, 3, 5), (0, 8, 5), (3, 9, 7), (1, 1, 0)]:
        h_j, b_j = (h[j - 1], b[j - 1]) if j else (np.zeros(DIM), 0.0)
        x_uij = w[u] @ h[i - 1] + b[i - 1] - w[u] @ h_j - b_j
        losses.append(np.log1p(np.exp(-x_uij)) if j else 0.0)
        squares.append(w[u] @ w[u] + h[i - 1] @ h[i - 1] + h_j @ h_j)
    assert float(terms["next_item"]) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(terms["regularization"]) == pytest.approx(np.mean(squares), rel=1e-5)


def test_a_new_user_is_the_mean_of_their_items(model):
    items = np.array([[0, 0, 0, 0, 2, 5], [0, 0, 0, 0, 0, 0]], np.int32)
    h = as_numpy(model.items.table)
    alone = as_numpy(model.user_vectors(items))
    np.testing.assert_allclose(alone[0, :DIM], (h[1] + h[4]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(alone[1], [0] * DIM + [1])
    known = as_numpy(model.user_vectors(items, np.array([2, -1], np.int32)))
    np.testing.assert_allclose(known[0, :DIM], as_numpy(model.users.table)[2])
    np.testing.assert_array_equal(known[1], alone[1])


def test_users_are_found_by_their_raw_id(model):
    asked = np.array([b"user 3", b"somebody", b"user 0"], object)
    assert model.index_of_users(asked).tolist() == [3, -1, 0]
    fresh = BPR({"dim": DIM, "max_length": 6}, NUM_ITEMS, NUM_USERS)
    assert fresh.index_of_users(asked).tolist() == [-1, -1, -1]


def test_rows_move_with_their_users(model):
    later = BPR({"dim": DIM, "max_length": 6}, NUM_ITEMS, 3)
    later.register_users(np.array([b"newcomer", b"user 4", b"user 1"], object))
    before = as_numpy(later.users.table)
    done = later.copy_user_embeddings(model)
    assert [weight.path for weight in done] == [
        later.user_digests.path,
        later.users.table.path,
    ]
    there, here = as_numpy(model.users.table), as_numpy(later.users.table)
    np.testing.assert_array_equal(here, [before[0], there[4], there[1]])


def test_every_action_counts_once():
    """Of a user's five actions, cut into prefixes or left whole."""
    prefixes = {
        "item_ids": np.array([[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]),
        "target_ids": np.array([[2], [3], [4], [5]]),
    }
    counted = np.asarray(users.every_action(prefixes))
    assert counted.tolist() == [[1, 2], [0, 3], [0, 4], [0, 5]]
    whole = {
        "item_ids": np.array([[0, 1, 2, 3]]),
        "target_ids": np.array([[0, 2, 3, 4]]),
    }
    assert np.asarray(users.every_action(whole)).tolist() == [[1, 0, 2, 3, 4]]

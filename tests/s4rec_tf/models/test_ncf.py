"""NeuMF against its two halves written out in NumPy."""

import numpy as np
import pytest

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.ncf import NCF
from s4rec_tf.ranking import encoding, full_ranking, sampled_ranking
from tests.s4rec_tf.models.shaken import (
    BATCH,
    ITEM_IDS,
    NUM_ITEMS,
    NUM_USERS,
    loss_of,
    shaken,
    sigmoid,
    table,
    weight,
)

SMALL = {"predictive_factors": 2, "num_layers": 3}


def slow_score(model, user, item):
    dim = model.settings.dim
    halves = model.first_of_user.kernel, model.first_of_item.kernel
    first = np.concatenate([weight(half) for half in halves])
    state = np.concatenate([user[dim:], item[dim:]])
    state = np.maximum(0, state @ first + weight(model.first_of_user.bias))
    for layer in model.hidden:
        kernel, bias = map(weight, layer.weights)
        state = np.maximum(0, state @ kernel + bias)
    joined = np.concatenate([user[:dim] * item[:dim], state])
    h = np.concatenate(
        [weight(model.of_product.kernel), weight(model.of_hidden.kernel)]
    )
    return (joined @ h)[0] + weight(model.of_hidden.bias)[0]


def slow_scores(model, user):
    return np.array([slow_score(model, user, item) for item in table(model.items)[1:]])


def test_layers_are_halved_one_after_the_other():
    model = shaken(NCF, **SMALL)
    assert model.settings.widths == [8, 4, 2]
    assert model.users.table.shape == (NUM_USERS, 4 + 8)
    assert model.items.table.shape == (NUM_ITEMS, 4 + 8)


def test_loss_is_that_of_every_action_and_its_negatives():
    model = shaken(NCF, **SMALL)
    negatives = np.array([[5, 8], [10, 4], [2, 11]], np.int32)
    batch = {**BATCH, "negative_ids": negatives}
    losses = []
    # Row 0 holds its user's first action; there, 8 is an item and no negative.
    for row, positive in [(0, 7), (0, 8), (1, 9), (2, 1)]:
        scores = slow_scores(model, weight(model.users.table)[BATCH["user_index"][row]])
        value = -np.log(sigmoid(scores[positive - 1]))
        for other in negatives[row]:
            if other != positive:
                value -= np.log(1 - sigmoid(scores[other - 1]))
        losses.append(value)
    assert loss_of(model, batch) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.fixture(scope="module")
def ranked():
    """A model, users of whom one is unknown, and the scores of all items."""
    model = shaken(NCF, **SMALL)
    sequences = Sequences(
        user_ids=np.array([b"user 2", b"user 9", b"user 0"], object),
        values=ITEM_IDS[ITEM_IDS > 0],
        offsets=np.array([0, 1, 5, 11]),
        target_ids=np.array([4, 6, 2], np.int32),
        is_head=np.array([False, False, True]),
        sequence_lengths=np.array([2, 5, 7], np.int32),
    )
    rows = weight(model.users.table)
    users = [rows[2], rows.mean(axis=0), rows[0]]
    return model, sequences, np.array([slow_scores(model, user) for user in users])


def test_ranking_goes_by_the_model_s_own_scores(ranked):
    model, sequences, scores = ranked
    users = encoding.encode_users(model, sequences)
    items = np.asarray(model.item_vectors())
    scorer = encoding.pair_scorer(model)
    found = full_ranking.full_ranks(users, items, sequences, 3, pair_scores=scorer)
    for row, target in enumerate(sequences.target_ids):
        seen = set(sequences.items(row)) - {target}
        left = [item for item in range(1, NUM_ITEMS + 1) if item not in seen]
        order = sorted(left, key=lambda item: -scores[row, item - 1])
        assert found.ranks[row] == order.index(target) + 1
        assert found.top_ids[row].tolist() == order[:3]


def test_sampled_ranking_too(ranked):
    model, sequences, scores = ranked
    users = encoding.encode_users(model, sequences)
    items = np.asarray(model.item_vectors())
    negatives = np.array([[1, 2, 3], [5, 0, 0], [1, 3, 7]])
    ranks = sampled_ranking._sampled_ranks(
        users, items, sequences, negatives, encoding.pair_scorer(model)
    )
    for row, target in enumerate(sequences.target_ids):
        above = [
            item
            for item in negatives[row]
            if item and scores[row, item - 1] > scores[row, target - 1]
        ]
        assert ranks[row] == len(above) + 1


def test_scores_of_many_users_are_made_in_parts(ranked, monkeypatch):
    model, _, _ = ranked
    users = np.random.default_rng(1).normal(size=(7, 12)).astype(np.float32)
    items = np.asarray(model.item_vectors())
    monkeypatch.setattr(encoding, "_PAIRS_AT_ONCE", 3 * NUM_ITEMS)
    received = encoding.pair_scorer(model)(users[:, None], items[None])
    expected = [slow_scores(model, user) for user in users.astype(np.float64)]
    np.testing.assert_allclose(received, expected, atol=1e-5)

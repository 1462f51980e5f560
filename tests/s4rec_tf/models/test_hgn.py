"""HGN against its gates written out in NumPy."""

import numpy as np
import pytest

from s4rec_tf.models.hgn import HGN
from tests.s4rec_tf.models.shaken import (
    BATCH,
    ITEM_IDS,
    loss_of,
    shaken,
    sigmoid,
    table,
    weight,
)

LENGTH = 3


def slow_vector(model, items, user):
    """The vector whose product with q_j is the score, for the last `LENGTH` items."""
    window = [item for item in items if item][-LENGTH:]
    vectors = table(model.items)[window]
    w_g1, w_g2, b_g = map(weight, model.feature_gate.weights)
    w_g3, w_g4 = map(weight, model.instance_gate.weights)
    gated, gates = [], []
    for place, vector in enumerate(vectors, start=LENGTH - len(window)):
        feature = vector * sigmoid(vector @ w_g1 + user @ w_g2 + b_g)
        gate = sigmoid(feature @ w_g3[:, 0] + user @ w_g4[:, place])
        gated.append(feature * gate)
        gates.append(gate)
    if model.settings.pooling == "mean":
        pooled = np.sum(gated, axis=0) / np.sum(gates)
    else:
        pooled = np.max(gated, axis=0)
    return user + pooled + np.sum(vectors, axis=0)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_user_vectors_are_the_gated_items_and_the_user(pooling):
    model = shaken(HGN, max_length=LENGTH, pooling=pooling)
    users = np.array([2, -1, 0], np.int32)
    received = np.asarray(model.user_vectors(ITEM_IDS, users))
    rows = weight(model.users.table)
    for row, user in enumerate([rows[2], rows.mean(axis=0), rows[0]]):
        expected = [*slow_vector(model, ITEM_IDS[row], user), 1]
        np.testing.assert_allclose(received[row], expected, atol=1e-5)
    narrow = np.asarray(model.user_vectors(ITEM_IDS[:1, -2:], users[:1]))
    np.testing.assert_allclose(narrow[0], received[0], atol=1e-6)


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_an_item_is_predicted_from_every_window_before_it(loss):
    model = shaken(HGN, max_length=LENGTH, num_targets=2, loss=loss)
    assert model.batch_spec().max_length == LENGTH + 1
    negatives = np.array([[5], [0], [2]], np.int32)
    batch = {**BATCH, "item_ids": ITEM_IDS[:, -4:], "negative_ids": negatives}
    outputs, bias = table(model.outputs_of_items), table(model.bias)[:, 0]
    losses = []
    for row, items in enumerate(batch["item_ids"]):
        user = weight(model.users.table)[batch["user_index"][row]]
        target, other = batch["target_ids"][row, 0], negatives[row, 0]
        for end in (3, 4):
            if not items[end - 1]:
                continue
            scores = outputs @ slow_vector(model, items[:end], user) + bias
            if loss == "softmax":
                losses.append(np.log(np.sum(np.exp(scores[1:]))) - scores[target])
            else:
                value = -np.log(sigmoid(scores[target] - scores[other]))
                losses.append(value if other else 0.0)
    assert len(losses) == 5
    assert loss_of(model, batch) == pytest.approx(np.mean(losses), rel=1e-5)

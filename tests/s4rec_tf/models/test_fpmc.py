"""FPMC against its sum of two factorisations, written out in NumPy."""

import numpy as np
import pytest

from s4rec_tf.models.fpmc import FPMC
from tests.s4rec_tf.models.shaken import (
    ITEM_IDS,
    loss_of,
    shaken,
    sigmoid,
    table,
    weight,
)

TARGETS = np.array([[0, 0, 3], [1, 2, 9], [4, 8, 12]], np.int32)
NEGATIVES = np.array([[0, 0, 5], [6, 0, 2], [1, 1, 10]], np.int32)
USERS = np.array([0, 3, 1], np.int32)


def slow_scores(model, user, last):
    """x_u,t,i of all items i, by number."""
    factors = table(model.next_items)
    of_user, of_last = factors[:, :4], factors[:, 4:]
    return of_user @ user + of_last @ table(model.last_items)[last]


def test_scores_are_the_sum_of_both_factorisations():
    model = shaken(FPMC)
    users = np.array([2, -1, 0], np.int32)
    received = (
        weight(model.user_vectors(ITEM_IDS, users)) @ weight(model.item_vectors()).T
    )
    rows = weight(model.users.table)
    for row, user in enumerate([rows[2], rows.mean(axis=0), rows[0]]):
        expected = slow_scores(model, user, ITEM_IDS[row, -1])[1:]
        np.testing.assert_allclose(received[row], expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_loss_is_the_mean_over_the_positions(loss):
    model = shaken(FPMC, loss=loss)
    batch = {
        "item_ids": ITEM_IDS,
        "target_ids": TARGETS,
        "negative_ids": NEGATIVES,
        "user_index": USERS,
    }
    losses, squares = [], []
    for row, column in np.argwhere(TARGETS > 0):
        user = weight(model.users.table)[USERS[row]]
        last = ITEM_IDS[row, column - 3]
        scores = slow_scores(model, user, last)
        target, other = TARGETS[row, column], NEGATIVES[row, column]
        if loss == "softmax":
            losses.append(np.log(np.sum(np.exp(scores[1:]))) - scores[target])
        else:
            value = -np.log(sigmoid(scores[target] - scores[other]))
            losses.append(value if other else 0.0)
        squares.append(np.sum(user**2) + np.sum(table(model.last_items)[last] ** 2))
    assert loss_of(model, batch) == pytest.approx(np.mean(losses), rel=1e-5)
    terms = model.loss_terms(batch, model(batch))
    assert float(terms["regularization"]) == pytest.approx(np.mean(squares), rel=1e-5)

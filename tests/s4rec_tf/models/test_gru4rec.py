"""GRU4Rec against the recurrence and the losses written out in NumPy."""

import numpy as np
import pytest

from s4rec_tf.models.gru4rec import GRU4Rec
from tests.s4rec_tf.models.shaken import (
    ITEM_IDS,
    NUM_ITEMS,
    loss_of,
    shaken,
    sigmoid,
    table,
    weight,
)

TARGETS = np.array(
    [[0, 0, 0, 0, 0, 3], [0, 0, 1, 2, 9, 5], [5, 6, 4, 8, 12, 9]], np.int32
)


def slow_states(model, items):
    """Hidden states after every item of one sequence."""
    rows = table(model.items)
    inputs = [rows[item] for item in items]
    for layer in model.layers_of_gru:
        kernel, recurrent, bias = map(weight, layer.weights)
        state, states = np.zeros(layer.units), []
        for vector in inputs:
            x = np.split(vector @ kernel + bias[0], 3)
            h = np.split(state @ recurrent + bias[1], 3)
            update, reset = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
            candidate = np.tanh(x[2] + reset * h[2])
            state = update * state + (1 - update) * candidate
            states.append(state)
        inputs = states
    return np.array(inputs)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_states_are_those_of_the_recurrence(num_layers):
    model = shaken(GRU4Rec, num_layers=num_layers)
    received = np.asarray(model.encode(ITEM_IDS, 6))
    for row, items in enumerate(ITEM_IDS):
        real = items[items > 0]
        expected = slow_states(model, real)
        np.testing.assert_allclose(received[row, -len(real) :], expected, atol=1e-5)
        vector = np.asarray(model.user_vectors(ITEM_IDS))[row]
        np.testing.assert_allclose(vector, [*expected[-1], 1], atol=1e-5)


def slow_loss(name, scores, target, candidates):
    positive = scores[target]
    negative = np.array([scores[j] for j in candidates if j not in (0, target)])
    if name == "softmax":
        return np.log(np.sum(np.exp(scores[1:]))) - positive
    if name == "cross_entropy":
        total = np.exp(positive) + np.sum(np.exp(negative))
        return np.log(total) - positive
    if name == "top1":
        return np.mean(sigmoid(negative - positive) + sigmoid(negative**2))
    share = np.exp(negative) / np.sum(np.exp(negative))
    above = np.sum(share * sigmoid(positive - negative))
    return -np.log(above) + 0.7 * np.sum(share * negative**2)


@pytest.mark.parametrize("name", ["softmax", "cross_entropy", "top1", "bpr_max"])
def test_losses_look_at_the_other_next_items_of_the_batch(name):
    model = shaken(GRU4Rec, loss=name, bpr_regularization=0.7, num_negatives=2)
    batch = {"item_ids": ITEM_IDS, "target_ids": TARGETS}
    candidates = list(TARGETS[TARGETS > 0])
    if name != "softmax":
        batch["negative_ids"] = np.array([[2, 11], [11, 1], [10, 7]], np.int32)
        candidates += [2, 11, 11, 1, 10, 7]
    bias = table(model.bias)[:, 0]
    losses = []
    for items, targets in zip(ITEM_IDS, TARGETS, strict=True):
        real = items > 0
        states = slow_states(model, items[real])
        for state, target in zip(states, targets[real], strict=True):
            scores = table(model.items) @ state + bias
            losses.append(slow_loss(name, scores, target, candidates))
    assert len(losses) == np.sum(TARGETS > 0) == 11
    assert loss_of(model, batch) == pytest.approx(np.mean(losses), rel=1e-5)
    assert model.item_vectors().shape == (NUM_ITEMS, 5)

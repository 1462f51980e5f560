"""Caser against its filters written out in NumPy."""

import numpy as np
import pytest

from s4rec_tf.models.caser import Caser
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
SMALL = {"max_length": LENGTH, "num_horizontal": 2, "num_vertical": 2}


def slow_z(model, items):
    """z of the last `LENGTH` of some items, padded on the left."""
    window = ([0] * LENGTH + list(items))[-LENGTH:]
    image = table(model.items)[window]
    features = []
    for height, layer in enumerate(model.horizontal, start=1):
        filters, bias = map(weight, layer.weights)
        for k in range(filters.shape[2]):
            found = [
                max(0.0, np.sum(image[i : i + height] * filters[:, :, k]) + bias[k])
                for i in range(LENGTH - height + 1)
            ]
            features.append(max(found))
    for k in range(model.vertical.shape[1]):
        column = weight(model.vertical)[:, k]
        features += list(sum(column[row] * image[row] for row in range(LENGTH)))
    kernel, bias = map(weight, model.fully_connected.weights)
    return np.maximum(0, features @ kernel + bias)


def test_user_vectors_are_the_filters_and_the_user():
    model = shaken(Caser, **SMALL)
    users = np.array([2, -1, 0], np.int32)
    received = np.asarray(model.user_vectors(ITEM_IDS, users))
    rows = weight(model.users.table)
    for row, user in enumerate([rows[2], rows.mean(axis=0), rows[0]]):
        expected = [*slow_z(model, ITEM_IDS[row]), *user, 1]
        np.testing.assert_allclose(received[row], expected, atol=1e-5)
    narrow = np.asarray(model.user_vectors(ITEM_IDS[:1, -2:], users[:1]))
    np.testing.assert_allclose(narrow[0], received[0], atol=1e-6)


@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_an_item_is_predicted_from_every_window_before_it(loss):
    model = shaken(Caser, **SMALL, num_targets=2, loss=loss)
    assert model.batch_spec().max_length == LENGTH + 1
    negatives = np.array([[5, 7], [9, 3], [2, 2]], np.int32)
    batch = {**BATCH, "item_ids": ITEM_IDS[:, -4:], "negative_ids": negatives}
    outputs, bias = table(model.outputs_of_items), table(model.bias)[:, 0]
    losses = []
    for row, items in enumerate(batch["item_ids"]):
        user = weight(model.users.table)[batch["user_index"][row]]
        target = batch["target_ids"][row, 0]
        for end in (3, 4):
            if not items[end - 1]:
                continue
            scores = outputs @ [*slow_z(model, items[:end]), *user] + bias
            if loss == "softmax":
                value = np.log(np.sum(np.exp(scores[1:]))) - scores[target]
            else:
                others = [j for j in negatives[row] if j != target]
                value = -np.log(sigmoid(scores[target]))
                value -= sum(np.log(1 - sigmoid(scores[j])) for j in others)
                value /= 1 + negatives.shape[1]
            losses.append(value)
    assert len(losses) == 5
    assert loss_of(model, batch) == pytest.approx(np.mean(losses), rel=1e-5)


def test_rows_with_many_targets_are_refused():
    model = shaken(Caser, **SMALL)
    batch = {**BATCH, "target_ids": ITEM_IDS, "negative_ids": ITEM_IDS[:, :3]}
    with pytest.raises(ValueError, match=r"`samples=prefix`.*Received: 6 targets"):
        loss_of(model, batch)

"""The pairwise losses against loops over the negatives, in float64."""

import keras
import numpy as np
import pytest

from s4rec_tf.losses import pairwise

ROWS, NEGATIVES = 6, 5


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def slow_bpr(positive, negatives):
    return np.mean([-np.log(sigmoid(positive - r)) for r in negatives])


def slow_top1(positive, negatives):
    return np.mean([sigmoid(r - positive) + sigmoid(r**2) for r in negatives])


def slow_bpr_max(positive, negatives):
    total = sum(np.exp(r) for r in negatives)
    share = [np.exp(r) / total for r in negatives]
    above = sum(
        s * sigmoid(positive - r) for s, r in zip(share, negatives, strict=True)
    )
    penalty = sum(s * r**2 for s, r in zip(share, negatives, strict=True))
    return -np.log(above) + 0.3 * penalty


def slow_log_loss(positive, negatives):
    return -np.log(sigmoid(positive)) - sum(np.log(1 - sigmoid(r)) for r in negatives)


CASES = {
    "log_loss": (pairwise.log_loss, slow_log_loss),
    "bpr": (pairwise.bpr, slow_bpr),
    "top1": (pairwise.top1, slow_top1),
    "bpr_max": (lambda *args: pairwise.bpr_max(*args, 0.3), slow_bpr_max),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_is_what_a_loop_over_the_negatives_gives(name):
    function, slow = CASES[name]
    generator = np.random.default_rng(1)
    positive = generator.normal(size=ROWS)
    negative = generator.normal(size=(ROWS, NEGATIVES)) * 2
    is_negative = generator.random((ROWS, NEGATIVES)) < 0.6
    is_negative[:, 0] = True
    is_negative[0] = False
    received = function(
        keras.ops.convert_to_tensor(positive, "float32"),
        keras.ops.convert_to_tensor(negative, "float32"),
        keras.ops.convert_to_tensor(is_negative),
    )
    expected = [
        slow(positive[row], negative[row][is_negative[row]]) for row in range(1, ROWS)
    ]
    alone = {"log_loss": np.log1p(np.exp(-positive[0]))}.get(name, 0.0)
    expected.insert(0, alone)
    np.testing.assert_allclose(np.asarray(received), expected, rtol=1e-5, atol=1e-6)

"""L2 in the gradient, as PyTorch's Adam has it."""

import keras
import numpy as np
import pytest

from s4rec_tf.runs import config
from s4rec_tf.train.optimizers import add_weight_decay
from s4rec_tf.train.tensorflow.fused_adam import FusedAdam

START = np.array([[1.0, -2.0], [0.5, 4.0]], np.float32)
GRADIENTS = [np.array([[0.3, 0.1], [-0.2, 0.0]], np.float32), np.zeros((2, 2))]


def trained(optimizer, weight_decay):
    table = keras.Variable(START)
    optimizer.build([table])
    add_weight_decay(optimizer, weight_decay)
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [table])
    return np.asarray(table)


def test_sgd_by_hand():
    expected = START.astype(np.float64)
    for gradient in GRADIENTS:
        expected = expected - 0.5 * (gradient + 0.1 * expected)
    received = trained(keras.optimizers.SGD(0.5), 0.1)
    np.testing.assert_allclose(received, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [keras.optimizers.Adam, FusedAdam])
def test_adam_by_its_definition(kind):
    weight = START.astype(np.float64)
    momentum, velocity = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(GRADIENTS, start=1):
        total = gradient + 0.1 * weight
        momentum = 0.9 * momentum + 0.1 * total
        velocity = 0.999 * velocity + 0.001 * total**2
        unbiased = momentum / (1 - 0.9**step), velocity / (1 - 0.999**step)
        weight = weight - 0.01 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-7)
    np.testing.assert_allclose(trained(kind(0.01), 0.1), weight, rtol=1e-5)


@pytest.mark.parametrize("more", ["weight_decay=-1", "optimizer=lazy_adam"])
def test_where_it_cannot_be_it_is_refused(more):
    with pytest.raises(config.ConfigError, match="`weight_decay` must not be"):
        config.resolve("sasrec", overrides=["weight_decay=0.1", more])

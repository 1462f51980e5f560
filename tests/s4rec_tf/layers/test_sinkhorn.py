import keras
import numpy as np
import ot
import pytest
import tensorflow as tf

from s4rec_tf.layers.sinkhorn import sinkhorn_targets
from tests.s4rec_tf import reference


def targets(similarities, **kwargs):
    return keras.ops.convert_to_numpy(
        sinkhorn_targets(np.asarray(similarities, np.float32), **kwargs)
    )


@pytest.mark.parametrize("shape", [(64, 8), (1, 5), (7, 1), (3, 16), (1, 1)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_rows_sum_to_one_for_any_finite_scores(shape, scale):
    scores = np.random.default_rng(0).uniform(-scale, scale, shape)
    q = targets(scores)
    assert np.isfinite(q).all()
    np.testing.assert_allclose(q.sum(axis=1), 1.0, atol=1e-5)


def test_columns_balance_after_many_iterations():
    scores = np.random.default_rng(1).uniform(-1, 1, (64, 8))
    q = targets(scores, iterations=100)
    np.testing.assert_allclose(q.sum(axis=0), 64 / 8, atol=1e-5 * 64)


def test_three_iterations_balance_roughly():
    scores = np.random.default_rng(1).uniform(-1, 1, (512, 128))
    columns = targets(scores).sum(axis=0) / (512 / 128)
    assert 0.7 < columns.min() and columns.max() < 1.3


def test_agrees_with_an_independent_transport_solver():
    scores = np.random.default_rng(2).uniform(-1, 1, (12, 4))
    plan = ot.sinkhorn(
        np.full(12, 1 / 12), np.full(4, 1 / 4), -scores, reg=0.2, stopThr=1e-12
    )
    q = targets(scores, epsilon=0.2, iterations=500)
    np.testing.assert_allclose(q, 12 * plan, atol=1e-5)


def test_no_gradient_flows_through_the_targets():
    scores = tf.Variable(np.random.default_rng(3).normal(size=(6, 3)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(sinkhorn_targets(scores) ** 2)
    assert tape.gradient(loss, scores) is None


def test_by_default_epsilon_is_a_twentieth_and_iterations_are_three():
    scores = np.random.default_rng(4).uniform(-1, 1, (9, 4))
    expected = reference.sinkhorn_targets(scores, eps=0.05, iterations=3)
    np.testing.assert_allclose(targets(scores), expected, atol=1e-5)

"""DSSRec's losses and its layer against plain loops over their indices."""

import keras
import numpy as np
import pytest

from s4rec_tf.layers.disentanglement import IntentionDisentanglement
from s4rec_tf.losses import sequence_to_sequence as losses
from tests.s4rec_tf import reference
from tests.s4rec_tf.small_runs import as_numpy

B, K, D, V, L = 6, 3, 4, 9, 5


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def normal(generator, *shape):
    return generator.normal(size=shape).astype(np.float32)


def test_the_best_intention_tells_the_item(generator):
    phi, items = normal(generator, B, K, D), normal(generator, V, D)
    targets = np.array([[1, 0], [9, 2], [3, 3], [4, 1], [5, 0], [6, 7]], np.int32)
    found = as_numpy(losses.best_intention_softmax(phi, items, targets))
    for u in range(B):
        total = sum(np.exp(items[v] @ phi[u, k]) for v in range(V) for k in range(K))
        for t, target in enumerate(targets[u]):
            if target:
                best = max(np.exp(items[target - 1] @ phi[u, k]) for k in range(K))
                assert found[u, t] == pytest.approx(-np.log(best / total), abs=1e-5)


def test_rows_weigh_alike_however_many_targets_they_have():
    values = np.array([[1.0, 3.0], [5.0, 9.0], [7.0, 8.0]], np.float32)
    targets = np.array([[1, 2], [3, 0], [0, 0]], np.int32)
    found = losses.mean_over_rows(values, targets)
    assert float(found) == pytest.approx((2 + 5 + 0) / 3)


@pytest.mark.parametrize(("keep_share", "num_kept"), [(1.0, 18), (0.5, 9), (0.01, 1)])
def test_the_most_confident_are_kept(generator, keep_share, num_kept):
    past, future = normal(generator, B, K, D), normal(generator, B, K, D)
    users = np.array([0, 1, 1, 2, 3, 0], np.int32)
    found = losses.sequence_to_sequence(past, future, users, keep_share)
    every = []
    for u in range(B):
        others = [n for n in range(B) if n == u or users[n] != users[u]]
        for k in range(K):
            scores = past[u, k] @ future[others].reshape(-1, D).T / np.sqrt(D)
            own = past[u, k] @ future[u, k] / np.sqrt(D)
            every.append(np.log(np.sum(np.exp(scores))) - own)
    assert float(found) == pytest.approx(sum(sorted(every)[:num_kept]) / B, abs=1e-4)


def layer_norm(values):
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


@pytest.mark.parametrize("of_future", [False, True])
def test_intentions_are_clustered_weighted_and_aggregated(generator, of_future):
    layer = IntentionDisentanglement(L, D, K)
    layer.build()
    assert len(layer.norms) == 5
    for weight in layer.trainable_weights:
        if "layer_norm" not in weight.path:
            weight.assign(normal(generator, *weight.shape))
    z = normal(generator, B, L, D)
    is_real = np.arange(L) >= generator.integers(0, L, (B, 1))
    found = as_numpy(layer(z, is_real, of_future=of_future))
    c, alpha, bias = map(
        as_numpy, (layer.prototypes, layer.positions, layer.query_bias)
    )
    kernel, b = as_numpy(layer.key.kernel), as_numpy(layer.key.bias)
    beta = as_numpy(layer.future_bias if of_future else layer.past_bias)
    for u in range(B):
        real = np.flatnonzero(is_real[u])
        assigned = {
            i: reference.softmax(layer_norm(z[u, i]) @ layer_norm(c).T / np.sqrt(D))
            for i in real
        }
        query = layer_norm(alpha[-1] + z[u, -1] + bias)
        keys = [layer_norm(alpha[i] + z[u, i]) for i in real]
        keys = [key + np.maximum(key @ kernel + b, 0) for key in keys]
        p = reference.softmax([key @ query / np.sqrt(D) for key in keys])
        for k in range(K):
            total = sum(
                assigned[i][k] * p[n] * z[u, i].astype(float)
                for n, i in enumerate(real)
            )
            expected = layer_norm(beta[k] + total)
            np.testing.assert_allclose(found[u, k], expected, atol=2e-4)


def test_padding_may_hold_anything(generator):
    keras.utils.set_random_seed(0)
    layer = IntentionDisentanglement(L, D, K)
    layer.build()
    z, is_real = normal(generator, B, L, D), np.tile(np.arange(L) >= 2, (B, 1))
    other = np.where(is_real[..., None], z, 1e3).astype(np.float32)
    np.testing.assert_allclose(
        as_numpy(layer(z, is_real)), as_numpy(layer(other, is_real)), atol=1e-5
    )

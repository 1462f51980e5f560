"""The linear probe, its area under the curve, and its folds."""

import numpy as np
import pytest
from scipy.optimize import minimize

from s4rec_tf.analyze import probe


def test_area_under_curve_by_counting_pairs():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 8, 40).astype(float)  # with ties
    labels = generator.random(40) < 0.3
    pairs = [
        float(high > low) + 0.5 * float(high == low)
        for high in scores[labels]
        for low in scores[~labels]
    ]
    assert probe.area_under_curve(scores, labels) == pytest.approx(np.mean(pairs))


def test_logistic_regression_is_at_the_minimum_of_its_definition():
    generator = np.random.default_rng(1)
    features = np.column_stack([generator.normal(size=(60, 3)), np.ones(60)])
    labels = features @ [1.5, -1.0, 0.2, 0.4] + generator.logistic(size=60) > 0

    def loss(weights):
        signed = np.where(labels, 1, -1) * (features @ weights)
        return np.sum(np.log1p(np.exp(-signed))) + np.sum(weights[:3] ** 2) / 2

    expected = minimize(loss, np.zeros(4), tol=1e-12).x
    received = probe.fit_logistic(features, labels)
    np.testing.assert_allclose(received, expected, atol=1e-4)


def test_classes_far_apart_are_told_with_finite_weights():
    features = np.column_stack([np.r_[np.full(20, -50.0), np.full(20, 50.0)]])
    labels = features[:, 0] > 0
    logits = probe.out_of_fold_logits(features, labels, seed=0)
    assert np.isfinite(logits).all()
    assert probe.area_under_curve(logits, labels) == 1.0


def test_noise_cannot_be_learned():
    generator = np.random.default_rng(2)
    embeddings = generator.normal(size=(2000, 16))
    labels = generator.random(2000) < 0.2
    logits = probe.out_of_fold_logits(embeddings, labels, seed=0)
    # Fitted and judged on the same users, 16 dimensions of noise give about 0.58.
    assert probe.area_under_curve(logits, labels) == pytest.approx(0.5, abs=0.04)


def test_what_a_gaussian_shift_gives():
    # Two unit Gaussians one apart: AUC is Phi(1 / sqrt(2)) = 0.76025.
    generator = np.random.default_rng(3)
    labels = generator.random(8000) < 0.2
    embeddings = generator.normal(size=(8000, 4))
    embeddings[:, 2] += labels
    logits = probe.out_of_fold_logits(embeddings, labels, seed=0)
    received = probe.area_under_curve(logits, labels)
    assert received == pytest.approx(0.76025, abs=0.015)


def test_too_few_users_of_a_class_are_named():
    with pytest.raises(ValueError, match="Received: 3 and 17"):
        probe.out_of_fold_logits(np.zeros((20, 2)), np.arange(20) < 3, seed=0)

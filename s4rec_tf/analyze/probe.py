"""Linear probe: a fresh classifier of head and tail users by z.

What S4Rec's adversary (section 4.3) should bring towards chance.
"""

from __future__ import annotations

import numpy as np

FOLDS = 5
_PENALTY = 1.0
_NEWTON_STEPS = 50


def out_of_fold_logits(
    embeddings: np.ndarray, is_head: np.ndarray, seed: int
) -> np.ndarray:
    """Logits of every user by a logistic regression that has not seen the user.

    Args:
        embeddings: z [N, d]; standardised by each fold's own training users.
        is_head: bool [N].
        seed: of the division into `FOLDS` folds, in each of which both classes have
            their share.

    Returns:
        float [N]; above 0 is head.

    Raises:
        ValueError: if a class has fewer users than there are folds.
    """
    sizes = int(is_head.sum()), int((~is_head).sum())
    if min(sizes) < FOLDS:
        raise ValueError(
            f"a probe in {FOLDS} folds needs {FOLDS} head and {FOLDS} tail users. "
            f"Received: {sizes[0]} and {sizes[1]}"
        )
    folds = _stratified_folds(is_head, np.random.default_rng(seed))
    features = np.asarray(embeddings, np.float64)
    logits = np.empty(len(features))
    for fold in range(FOLDS):
        held_out = folds == fold
        mean, scale = features[~held_out].mean(axis=0), features[~held_out].std(axis=0)
        scaled = (features - mean) / np.maximum(scale, 1e-12)
        with_bias = np.column_stack([scaled, np.ones(len(scaled))])
        weights = fit_logistic(with_bias[~held_out], is_head[~held_out])
        logits[held_out] = with_bias[held_out] @ weights
    return logits


def _stratified_folds(
    is_head: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    folds = np.empty(len(is_head), np.int64)
    for members in (np.flatnonzero(is_head), np.flatnonzero(~is_head)):
        folds[generator.permutation(members)] = np.arange(len(members)) % FOLDS
    return folds


def fit_logistic(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method.

    Definition: argmin_w sum_n log(1 + exp(-y_n w . x_n)) + |w|^2 / 2 with y_n = +-1;
    the last feature, the bias, is not penalised.

    Args:
        features: x [N, D], the last column 1.
        labels: True for y = 1, bool [N].

    Returns:
        w [D].
    """
    penalty = np.full(features.shape[1], _PENALTY)
    penalty[-1] = 1e-6
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(features @ weights, -500, 500)))
        gradient = features.T @ (chances - labels) + penalty * weights
        curvature = (features * (chances * (1 - chances))[:, None]).T @ features
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        # Far steps overshoot where chances saturate.
        step *= min(1.0, 10.0 / max(float(np.abs(step).max()), 1e-12))
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a random positive scores above a random negative; ties count half.

    Args:
        scores: float [N].
        labels: True for positives, bool [N], of both kinds.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    positives, negatives = int(labels.sum()), int((~labels).sum())
    above = mean_ranks[inverse][labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))

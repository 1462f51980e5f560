"""Calibration: what scores mean, by the answers to validation users.

The probability that an item with a given score is the next one is by Platt's method
("Probabilistic Outputs for Support Vector Machines", 1999): the logit of the
probability is a line of the score, fitted to the answers that validation users would
have got. Probabilities rise with the score, so they order nothing anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy import optimize, special

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.export.module import ServableRecommender
from s4rec_tf.retrieval import exclusions

MAX_USERS = 4096
"""Users of the fit; two parameters need no more."""

_BATCH = 256


class Calibration(NamedTuple):
    """The meaning of scores.

    Attributes:
        line: slope and intercept of a score's logit.
        deciles: the nine bounds between tenths of the users' best scores; none without
            users.
    """

    line: tuple[float, float]
    deciles: list[float]


def calibrate(servable: ServableRecommender, sequences: Sequences) -> Calibration:
    """Calibrates a servable's scores by users of the validation split.

    Args:
        servable: of a model that has not seen the targets.
        sequences: the split; without users every item has the same probability.
    """
    scores, hits, best = _answers(servable, sequences)
    if not len(scores):
        line = (0.0, float(special.logit(1.0 / (servable.num_items + 1))))
        return Calibration(line, [])
    deciles = np.quantile(best, np.arange(1, 10) / 10)
    return Calibration(fit(scores, hits), [float(bound) for bound in deciles])


def fit(scores: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """The likeliest slope, not below 0, and intercept of the logit.

    Args:
        scores: float [N].
        hits: bool [N]; True where the item was the next one.
    """
    center, scale = float(scores.mean()), float(scores.std()) or 1.0
    unit = (scores.astype(np.float64) - center) / scale
    num_hits, num_misses = int(hits.sum()), int((~hits).sum())
    # Platt's targets: no finite sample proves that a probability is 0 or 1.
    target = np.where(hits, (num_hits + 1) / (num_hits + 2), 1 / (num_misses + 2))

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        logit = line[0] * unit + line[1]
        error = (special.expit(logit) - target) / len(unit)
        value = np.mean(np.logaddexp(0.0, logit) - target * logit)
        return float(value), np.asarray([error @ unit, error.sum()])

    start = np.asarray([0.0, special.logit(target.mean())])
    bounds = [(0.0, None), (None, None)]
    tight = {"ftol": 1e-14, "gtol": 1e-9}
    found = optimize.minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=tight
    )
    slope = found.x[0] / scale
    return float(slope), float(found.x[1] - slope * center)


def _answers(
    servable: ServableRecommender, sequences: Sequences
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [N] of all answered items, whether each was the target; users' best."""
    users = np.random.default_rng(0).permutation(len(sequences))[:MAX_USERS]
    scores, hits = [np.zeros(0, np.float32)], [np.zeros(0, bool)]
    best = [np.zeros(0, np.float32)]
    for start in range(0, len(users), _BATCH):
        rows = users[start : start + _BATCH]
        width = max(1, int(sequences.lengths[rows].max()))
        history = tf.constant(sequences.padded(rows, width))
        encoded = servable.encode(history)
        values, items = (part.numpy() for part in servable.rank(encoded, history))
        is_item = (values != exclusions.NO_SCORE.item()) & (items != spec.PAD_ID)
        is_item &= ~encoded.is_fallback.numpy()[:, None] & np.isfinite(values)
        is_hit = items == sequences.target_ids[rows][:, None]
        scores.append(values[is_item])
        hits.append(is_hit[is_item])
        best.append(values[is_item[:, 0], 0])
    return np.concatenate(scores), np.concatenate(hits), np.concatenate(best)

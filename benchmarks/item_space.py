"""Generated item and user vectors, and what must be found for each user."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TRUTH = 70
"""Best items kept for each user: 50 to exclude, and the 20 that follow."""

_ITEMS_PER_CLUSTER = 50
_PART = 200_000


class ItemSpace(NamedTuple):
    """Vectors to search.

    Attributes:
        items: float32 [V, d].
        users: float32 [N, d].
        best: int32 [N, TRUTH], rows of the items with the largest inner products.
    """

    items: np.ndarray
    users: np.ndarray
    best: np.ndarray


def generate(num_items: int, num_users: int, width: int, seed: int) -> ItemSpace:
    """Clusters of 50 items in a space whose directions matter less and less.

    The standard deviation of direction j is 1 / sqrt(j); an item is half as far from
    its centre as the centres are from each other; lengths vary by 15 %; a user is the
    mean of three items of a cluster, with noise.

    Args:
        num_items: V.
        num_users: N.
        width: d.
        seed: of everything that is drawn.
    """
    generator = np.random.default_rng(seed)
    spread = (1 / np.sqrt(np.arange(1, width + 1))).astype(np.float32)
    num_clusters = max(2, num_items // _ITEMS_PER_CLUSTER)
    centres = _normal(generator, num_clusters, width) * spread
    cluster = generator.integers(0, num_clusters, num_items)
    items = _normal(generator, num_items, width)
    items *= 0.5 * spread
    items += centres[cluster]
    items *= generator.lognormal(0, 0.15, [num_items, 1]).astype(np.float32)
    first = generator.integers(0, num_items, num_users)
    users = np.stack([_user(generator, items, cluster, row) for row in first])
    users += 0.2 * spread * _normal(generator, num_users, width)
    return ItemSpace(items, users, _best(items, users))


def _user(
    generator: np.random.Generator, items: np.ndarray, cluster: np.ndarray, row: int
) -> np.ndarray:
    own = generator.choice(np.flatnonzero(cluster == cluster[row]), 3)
    return np.asarray(items[own].mean(axis=0))


def _normal(generator: np.random.Generator, rows: int, width: int) -> np.ndarray:
    return generator.standard_normal([rows, width], np.float32)


def _best(items: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Rows of the best items by NumPy, a part of the items at a time."""
    scores = np.full([len(users), TRUTH], -np.inf, np.float32)
    best = np.zeros([len(users), TRUTH], np.int32)
    for start in range(0, len(items), _PART):
        part = users @ items[start : start + _PART].T
        rows = np.arange(start, start + part.shape[1], dtype=np.int32)
        scores = np.concatenate([scores, part], axis=1)
        best = np.concatenate([best, np.tile(rows, [len(users), 1])], axis=1)
        order = np.argpartition(-scores, TRUTH - 1, axis=1)[:, :TRUTH]
        scores = np.take_along_axis(scores, order, 1)
        best = np.take_along_axis(best, order, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)

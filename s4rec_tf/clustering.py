"""Clusters of sequence embeddings: K-means, and the distribution of users over them.

NumPy, for what happens once an epoch or after training (S4Rec, Table 3, Figure 3).
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

ITERATIONS = 20


def kmeans(
    points: np.ndarray, num_clusters: int, generator: np.random.Generator
) -> np.ndarray:
    """Centroids by Lloyd's algorithm from a k-means++ start.

    Equal points and an equal generator give equal centroids. Clusters that lose all
    their points stay where they were.

    Args:
        points: float [N, d], N at least 1.
        num_clusters: K; with fewer distinct points, some centroids are equal.
        generator: the randomness of the start.

    Returns:
        float32 [K, d].
    """
    from scipy.cluster.vq import kmeans2

    points = np.asarray(points, np.float32)
    start = _spread_points(points, num_clusters, generator)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        centroids, _ = kmeans2(points, start, iter=ITERATIONS, minit="matrix")
    return np.asarray(centroids, np.float32)


def _spread_points(
    points: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """k-means++: each next point drawn by its squared distance to those before."""
    exact = points.astype(np.float64)
    squares = np.sum(exact**2, axis=1)
    chosen = [int(generator.integers(len(points)))]
    distances = np.full(len(points), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        to_last = squares + squares[last] - 2 * (exact @ exact[last])
        distances = np.minimum(distances, np.maximum(to_last, 0.0))
        total = np.cumsum(distances)
        drawn = np.searchsorted(total, generator.random() * total[-1], side="right")
        chosen.append(min(int(drawn), len(points) - 1))
    return points[chosen]


def nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index of the nearest centroid of each point; [N, d], [K, d] -> int [N]."""
    closeness = points @ centroids.T - np.sum(centroids**2, axis=1) / 2
    return np.asarray(np.argmax(closeness, axis=1))


@dataclasses.dataclass(frozen=True)
class ClusterDistribution:
    """Distribution of users over clusters.

    Attributes:
        users: number of users in each cluster, int [K].
        heads: number of head users in each cluster, int [K].
    """

    users: np.ndarray
    heads: np.ndarray

    @classmethod
    def of(
        cls, clusters: np.ndarray, is_head: np.ndarray, num_clusters: int
    ) -> ClusterDistribution:
        """Counts users.

        Args:
            clusters: index of each user's cluster, int [N].
            is_head: True for head users, bool [N].
            num_clusters: K.
        """
        users = np.bincount(clusters, minlength=num_clusters)
        return cls(users, np.bincount(clusters[is_head], minlength=num_clusters))

    def perplexity(self) -> float:
        """Number of clusters in use, by entropy: exp(-sum_k s_k log s_k), s shares."""
        share = self.users[self.users > 0] / self.users.sum()
        return float(np.exp(-np.sum(share * np.log(share))))

    def head_rates(self) -> np.ndarray:
        """Share of head users in each cluster that has users (Figure 3)."""
        is_used = self.users > 0
        return np.asarray(self.heads[is_used] / self.users[is_used])

    def head_rate_quartiles(self) -> dict[str, float]:
        """Least, quartiles and greatest of the head rates."""
        names = ("min", "q25", "median", "q75", "max")
        found = np.quantile(self.head_rates(), [0.0, 0.25, 0.5, 0.75, 1.0])
        return {
            f"head_rate_{name}": float(x) for name, x in zip(names, found, strict=True)
        }

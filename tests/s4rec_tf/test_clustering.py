"""K-means and the spread of users over clusters."""

import numpy as np
import pytest

from s4rec_tf import clustering


def blobs(seed=0):
    """Three groups of 20 points, 30 apart and about 1 wide."""
    generator = np.random.default_rng(seed)
    middles = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]])
    labels = generator.permutation(np.repeat(np.arange(3), 20))
    return middles[labels] + generator.normal(size=(60, 2)), labels


@pytest.mark.parametrize("seed", range(5))
def test_kmeans_finds_the_means_of_groups_far_apart(seed):
    points, labels = blobs(seed)
    found = clustering.kmeans(points, 3, np.random.default_rng(seed))
    expected = np.stack([points[labels == group].mean(axis=0) for group in range(3)])
    order = clustering.nearest(expected, found)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], expected, atol=1e-4)


def test_kmeans_is_a_function_of_the_points_and_the_generator():
    points, _ = blobs()
    one, same, other = (
        clustering.kmeans(points, 9, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.filterwarnings("error")
def test_kmeans_of_fewer_distinct_points_than_clusters_is_finite():
    points = np.repeat([[1.0, 0.0], [0.0, 2.0]], 3, axis=0)
    found = clustering.kmeans(points, 5, np.random.default_rng(0))
    assert np.unique(found, axis=0).tolist() == [[0.0, 2.0], [1.0, 0.0]]


def test_nearest_is_by_euclidean_distance():
    centroids = np.array([[1.0, 0.0], [10.0, 0.0]])
    # By dot product alone, the long centroid would win everywhere.
    assert clustering.nearest(
        np.array([[2.0, 1.0], [7.0, 0.0]]), centroids
    ).tolist() == [
        0,
        1,
    ]


def test_spread_by_hand():
    found = np.array([0, 0, 0, 0, 2, 2, 2, 2])
    is_head = np.array([True, False, False, False, True, True, True, False])
    spread = clustering.ClusterDistribution.of(found, is_head, 3)
    assert spread.users.tolist() == [4, 0, 4]
    assert spread.heads.tolist() == [1, 0, 3]
    assert spread.perplexity() == pytest.approx(2.0)
    assert spread.head_rates().tolist() == [0.25, 0.75]
    assert spread.head_rate_quartiles() == {
        "head_rate_min": 0.25,
        "head_rate_q25": 0.375,
        "head_rate_median": 0.5,
        "head_rate_q75": 0.625,
        "head_rate_max": 0.75,
    }

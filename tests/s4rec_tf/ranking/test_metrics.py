import numpy as np
import pytest

from s4rec_tf.ranking import metrics

NAN = float("nan")


def test_rank_counts_items_that_do_not_score_less():
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.1]])
    np.testing.assert_array_equal(
        metrics.rank_of_target(scores, np.array([3, 1])), [3, 1]
    )


def test_ties_and_nan_count_against_the_target():
    scores = np.array(
        [
            [0.5, 0.5, 0.5, 0.1],
            [0.5, NAN, 0.1, 0.1],
            [NAN, 0.5, 0.1, 0.1],
            [-np.inf, -np.inf, -np.inf, -np.inf],
        ]
    )
    ranks = metrics.rank_of_target(scores, np.array([2, 1, 1, 4]))
    np.testing.assert_array_equal(ranks, [3, 2, 4, 4])


def test_hand_values():
    ranks = np.array([1, 2, 3, 6, 21])
    assert metrics.hit_rate(ranks, 5) == pytest.approx(3 / 5)
    assert metrics.hit_rate(ranks, 10) == pytest.approx(4 / 5)
    # 1 / log2(2), 1 / log2(3), 1 / log2(4), 1 / log2(7)
    assert metrics.ndcg(ranks, 5) == pytest.approx((1 + 0.6309298 + 0.5) / 5)
    assert metrics.ndcg(ranks, 10) == pytest.approx(
        (1 + 0.6309298 + 0.5 + 0.3562072) / 5
    )
    assert metrics.reciprocal_rank(ranks) == pytest.approx(
        (1 + 1 / 2 + 1 / 3 + 1 / 6 + 1 / 21) / 5
    )


@pytest.mark.parametrize("k", [5, 10, 20])
def test_the_last_place_of_a_list_counts_and_the_next_does_not(k):
    assert metrics.hit_rate(np.array([k]), k) == 1.0
    assert metrics.ndcg(np.array([k]), k) == pytest.approx(1 / np.log2(k + 1))
    assert metrics.hit_rate(np.array([k + 1]), k) == 0.0
    assert metrics.ndcg(np.array([k + 1]), k) == 0.0


def test_names_and_order():
    expected = "HR@5 HR@10 HR@20 NDCG@5 NDCG@10 NDCG@20 MRR".split()
    assert list(metrics.metrics_of_ranks(np.array([7]))) == expected
    assert metrics.metrics_of_ranks(np.array([7])) == pytest.approx(
        dict(zip(expected, [0, 1, 1, 0, 1 / 3, 1 / 3, 1 / 7], strict=True))
    )


def test_a_group_without_users_has_no_metrics():
    found = metrics.metrics_of_ranks(np.zeros(0, np.int64))
    assert list(found.values()) == [None] * 7


def test_coverage_counts_distinct_items_without_padding():
    lists = np.array([[3, 1, 0], [1, 4, 3]])
    assert metrics.coverage(lists, num_items=6) == pytest.approx(3 / 6)


def test_popularity_percentiles_share_the_place_of_equal_counts():
    # Lower: 0, 1, 1, 3 of 4; equal: 1, 2, 2, 1.
    percentiles = metrics.popularity_percentiles(np.array([0, 5, 5, 9]))
    np.testing.assert_allclose(percentiles, [0.125, 0.5, 0.5, 0.875])
    assert metrics.mean_percentile(np.array([[4, 4], [1, 0]]), percentiles) == (
        pytest.approx((0.875 + 0.875 + 0.125) / 3)
    )

import math

import numpy as np
import pytest

from pipelines.report.model_differences import METRICS, USERS, differences, user_metric


def test_metrics_of_users_by_hand():
    ranks = np.array([[1, 20, 21], [3, 5, 1]])
    np.testing.assert_allclose(user_metric(ranks, "HR@20"), [[1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(user_metric(ranks, "HR@5"), [[1, 0, 0], [1, 1, 1]])
    # 1 / log2(rank + 1): 1 and 1/2; 1/log2(21) and 1/log2(6); 0 and 1.
    expected = [[1, 1 / math.log2(21), 0], [0.5, 1 / math.log2(6), 1]]
    np.testing.assert_allclose(user_metric(ranks, "NDCG@20"), expected)
    expected = [[1, 1 / 20, 1 / 21], [1 / 3, 1 / 5, 1]]
    np.testing.assert_allclose(user_metric(ranks, "MRR"), expected)
    for wrong in ("mrr", "HR@", "hr@5", "NDCG@x"):
        with pytest.raises(ValueError, match="HR@k, NDCG@k or MRR"):
            user_metric(ranks, wrong)


def hits(probabilities, generator):
    """Ranks that hit the first place, or none at all, so that MRR is nearly HR@20."""
    return np.where(generator.random(np.shape(probabilities)) < probabilities, 1, 10**9)


def found(first, second, is_head=None):
    is_head = np.zeros(first.shape[1], bool) if is_head is None else is_head
    return {(d.metric, d.users): d for d in differences(first, second, is_head)}


def test_with_one_seed_it_is_the_interval_of_paired_users():
    generator = np.random.default_rng(0)
    ranks = [hits(np.full((1, 4000), share), generator) for share in (0.3, 0.25)]
    gap = (ranks[0] == 1).astype(float)[0] - (ranks[1] == 1).astype(float)[0]
    error = gap.std(ddof=1) / math.sqrt(4000)
    received = found(*ranks)["HR@20", "all"]
    assert received.difference == pytest.approx(gap.mean())
    assert received.second == pytest.approx((ranks[1] == 1).mean())
    assert received.low == pytest.approx(gap.mean() - 1.96 * error, abs=0.25 * error)
    assert received.high == pytest.approx(gap.mean() + 1.96 * error, abs=0.25 * error)


def test_seeds_that_differ_widen_the_interval():
    generator = np.random.default_rng(1)
    users = 8_000
    steady = [np.full((4, users), share) for share in (0.30, 0.28)]
    # Seeds of the first model lie 0.03 apart and more, and users alone hide that.
    restless = steady[0] + np.array([-0.06, -0.02, 0.02, 0.06])[:, None]
    second = hits(steady[1], generator)
    narrow = found(hits(steady[0], generator), second)["HR@20", "all"]
    wide = found(hits(restless, generator), second)["HR@20", "all"]
    assert narrow.low > 0.01
    # The standard deviation of a mean of four draws of those four is 0.0224.
    half = 1.96 * 0.0224
    assert wide.high - wide.low == pytest.approx(2 * half, rel=0.15)
    assert wide.low < 0 < wide.high


def test_groups_are_compared_by_themselves():
    generator = np.random.default_rng(2)
    is_head = np.arange(6000) < 1000
    better = np.where(is_head, 0.2, 0.4)[None]
    first = hits(np.repeat(better, 2, axis=0), generator)
    second = hits(np.full((3, 6000), 0.2), generator)
    received = found(first, second, is_head)
    assert list(received) == [(m, u) for m in METRICS for u in USERS]
    assert [received["MRR", u].count for u in USERS] == [6000, 1000, 5000]
    assert received["HR@20", "head"].low < 0 < received["HR@20", "head"].high
    tail = received["HR@20", "tail"]
    assert 0.17 < tail.low < 0.2 < tail.high < 0.23
    relative = tail.relative()
    assert relative[0] == pytest.approx(
        tail.difference / (second == 1)[:, 1000:].mean()
    )
    assert relative[1] < relative[0] < relative[2]


def test_equal_models_do_not_differ():
    ranks = np.array([[3, 1, 8, 30]])
    received = found(ranks, ranks.copy())["NDCG@20", "all"]
    assert (received.difference, received.low, received.high) == (0, 0, 0)
    assert received.relative() == (0, 0, 0)
    assert found(ranks * 100, ranks * 100)["NDCG@20", "all"].relative() is None


def test_other_users_are_refused():
    with pytest.raises(ValueError, match=r"the same users.*\(1, 3\), \(1, 2\)"):
        differences(np.ones((1, 3)), np.ones((1, 2)), np.zeros(3, bool))

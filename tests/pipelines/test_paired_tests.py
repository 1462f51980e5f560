import math

import numpy as np
import pytest
from scipy import stats

from pipelines.paired_tests import paired_test, user_metric


def test_metrics_of_users_by_hand():
    ranks = np.array([[1, 20, 21], [3, 5, 1]])
    np.testing.assert_allclose(user_metric(ranks, "HR@20"), [1, 1, 0.5])
    np.testing.assert_allclose(user_metric(ranks, "HR@5"), [1, 0.5, 0.5])
    # 1 / log2(rank + 1): 1 and 1/2; 1/log2(21) and 1/log2(6); 0 and 1.
    twenty = (1 / math.log2(21) + 1 / math.log2(6)) / 2
    np.testing.assert_allclose(user_metric(ranks, "NDCG@20"), [0.75, twenty, 0.5])
    for wrong in ("MRR", "HR@", "hr@5", "NDCG@x"):
        with pytest.raises(ValueError, match="HR@k or NDCG@k"):
            user_metric(ranks, wrong)


def test_t_test_and_interval_by_the_formula():
    # Differences 1, 2, 3, 2: mean 2, sd sqrt(2/3), standard error sqrt(1/6).
    first, second = np.array([3.0, 4, 4, 2]), np.array([2.0, 2, 1, 0])
    found = paired_test(first, second)
    error = math.sqrt(1 / 6)
    # 97.5 % point of t with 3 degrees of freedom, from a table.
    assert found.low == pytest.approx(2 - 3.182446 * error, abs=1e-5)
    assert found.high == pytest.approx(2 + 3.182446 * error, abs=1e-5)
    assert (found.users, found.difference) == (4, 2)
    assert found.p_t == pytest.approx(2 * stats.t.sf(2 / error, df=3))


def test_wilcoxon_without_ties_is_counted_out():
    # All five differences are positive: 2 of the 2^5 sign patterns are as extreme.
    found = paired_test(np.array([1.1, 2.2, 3.3, 4.4, 5.5]), np.arange(5.0) * 0)
    assert found.p_wilcoxon == pytest.approx(2 / 32)


def test_equal_models_do_not_differ():
    values = np.array([0.0, 1, 0.5])
    found = paired_test(values, values.copy())
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.p_t == found.p_wilcoxon == 1


def test_a_difference_is_found_and_its_sign_is_right():
    generator = np.random.default_rng(0)
    second = generator.random(2000)
    first = second + 0.02 + 0.1 * generator.standard_normal(2000)
    found = paired_test(first, second)
    assert 0 < found.low < 0.02 < found.high < 0.04
    assert found.p_t < 1e-6 and found.p_wilcoxon < 1e-6
    mirrored = paired_test(second, first)
    assert mirrored.difference == -found.difference
    assert mirrored.p_t == pytest.approx(found.p_t)


def test_other_users_are_refused():
    with pytest.raises(ValueError, match=r"the same users.*\(3,\), \(2,\)"):
        paired_test(np.zeros(3), np.zeros(2))

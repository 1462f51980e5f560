"""The reference itself, held to values worked out by hand and to other packages."""

import numpy as np
import ot
import pytest
import scipy.special
import scipy.stats

from tests.s4rec_tf import reference

LN2, LN3 = np.log(2), np.log(3)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_soft_assignment_by_hand():
    z, mu = [[3.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]
    # Unit vectors: 0.6 and 0.8, so p = 1 / (1 + exp(-+0.2 / 0.1)).
    p = reference.soft_assignment(z, mu, tau_1=0.1)
    np.testing.assert_allclose(p, [[0.11920292, 0.88079708]], atol=1e-8)
    # As they are: 3 and 8.
    p = reference.soft_assignment(z, mu, tau_1=5.0, normalize=False)
    np.testing.assert_allclose(p, [[0.26894142, 0.73105858]], atol=1e-8)


def test_sinkhorn_by_hand():
    # exp(scores / eps) = [[2, 1], [1, 1]]; one round: columns to 1/2, rows to 1/2.
    scores = np.array([[LN2, 0.0], [0.0, 0.0]])
    # Columns: [[1/3, 1/4], [1/6, 1/4]]; rows of sum 7/12 and 5/12, then times B.
    expected = [[4 / 7, 3 / 7], [2 / 5, 3 / 5]]
    q = reference.sinkhorn_targets(scores, eps=1.0, iterations=1)
    np.testing.assert_allclose(q, expected, atol=1e-12)
    raised = reference.sinkhorn_targets(scores + 7.0, eps=1.0, iterations=1)
    np.testing.assert_allclose(raised, expected, atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(12, 5), (3, 7), (1, 4), (6, 1)])
def test_sinkhorn_converges_to_the_optimal_transport_plan(rows, columns):
    scores = drawn(rows, columns) * 0.3
    q = reference.sinkhorn_targets(scores, eps=0.2, iterations=2000)
    plan = ot.sinkhorn(
        np.full(rows, 1 / rows),
        np.full(columns, 1 / columns),
        -scores,
        reg=0.2,
        numItermax=100_000,
        stopThr=1e-13,
    )
    np.testing.assert_allclose(q, plan * rows, atol=1e-9)


def test_clustering_loss_by_hand():
    p = np.array([[0.5, 0.5], [0.25, 0.75]])
    q = np.array([[1.0, 0.0], [0.5, 0.5]])
    # ln 2, and (ln 4 + ln 4 - ln 3) / 2.
    expected = (LN2 + (4 * LN2 - LN3) / 2) / 2
    assert reference.clustering_loss(p, q) == pytest.approx(expected)
    np.testing.assert_array_equal(reference.assigned_intents(q), [0, 0])


def test_contrastive_loss_by_hand():
    z1 = np.array([[2.0, 0.0], [0.0, 3.0]])
    z2 = np.array([[1.0, 0.0], [0.0, 1.0]])
    # Cosines: 1 with the positive, 0 with both negatives, in both directions.
    found = reference.contrastive_loss(z1, z2, [0, 1], tau_2=0.5)
    assert found == pytest.approx(2 * -np.log(np.exp(2) / (np.exp(2) + 2)))
    decoupled = reference.contrastive_loss(z1, z2, [0, 1], tau_2=0.5, decoupled=True)
    assert decoupled == pytest.approx(2 * -np.log(np.exp(2) / 2))


def test_rows_of_one_user_are_no_negatives():
    z1, z2 = drawn(3, 4), drawn(3, 4, seed=1)
    apart = reference.contrastive_loss(z1, z2, [0, 1, 2], 0.5)
    together = reference.contrastive_loss(z1, z2, [5, 5, 2], 0.5)
    assert together < apart
    alone = reference.contrastive_loss(z1, z2, [5, 5, 5], 0.5)
    assert alone == pytest.approx(0.0)


def test_prototypes_not_assigned_are_negatives():
    z1 = z2 = np.array([[1.0, 0.0]])
    mu = np.array([[5.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    found = reference.contrastive_loss(z1, z2, [0], 1.0, mu, assigned=[0])
    e = np.e
    assert found == pytest.approx(2 * -np.log(e / (e + 1 + 1 / e)))
    # The same prototype, no longer assigned, counts with cosine 1.
    found = reference.contrastive_loss(z1, z2, [0], 1.0, mu, assigned=[2])
    assert found == pytest.approx(2 * -np.log(e / (e + e + 1)))


def test_one_direction_equals_cross_entropy_over_candidates():
    z1, z2, mu = drawn(4, 3), drawn(4, 3, seed=1), drawn(5, 3, seed=2)
    assigned = np.array([4, 0, 2, 2])
    a, b, m = (x / np.linalg.norm(x, axis=1)[:, None] for x in (z1, z2, mu))
    logits = np.concatenate([a @ b.T, a @ a.T, a @ m.T], axis=1) / 0.3
    logits[np.arange(4), 4 + np.arange(4)] = -np.inf
    logits[np.arange(4), 8 + assigned] = -np.inf
    picked = scipy.special.log_softmax(logits, axis=1)[np.arange(4), np.arange(4)]
    found = reference.contrastive_pair(z1, z2, range(4), 0.3, mu, assigned)
    assert found == pytest.approx(-picked.mean())


def test_distillation_loss_equals_kl_divergence():
    z1, z2, mu = drawn(4, 6), drawn(4, 6, seed=1), drawn(3, 6, seed=2)
    assigned = [2, 0, 1, 2]
    teacher = scipy.special.softmax(mu[assigned] / 0.7, axis=1)
    expected = sum(
        scipy.stats.entropy(teacher, scipy.special.softmax(z / 0.7, axis=1), axis=1)
        for z in (z1, z2)
    )
    found = reference.distillation_loss(z1, z2, mu, assigned, tau_3=0.7)
    assert found == pytest.approx(expected.mean())


def test_distillation_loss_by_hand():
    mu, z = np.array([[LN3, 0.0]]), np.array([[0.0, 0.0]])
    # Teacher 3/4 and 1/4, student 1/2 and 1/2, twice.
    expected = 2 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    found = reference.distillation_loss(z, z, mu, [0], tau_3=1.0)
    assert found == pytest.approx(expected)
    assert reference.distillation_loss(mu, mu, 4 * mu, [0], 1.0, normalize=True) == (
        pytest.approx(0.0)
    )


def test_head_tail_loss_by_hand():
    z = np.array([[1.0, 2.0], [0.0, 1.0]])
    weight, bias = np.array([[LN2, 0.0], [0.0, LN3]]), np.array([0.0, -LN3])
    # Logits [ln 2, ln 3] with p(head) = 3/5, and [0, 0] with p(tail) = 1/2.
    found = reference.head_tail_loss(z, [True, False], weight, bias)
    assert found == pytest.approx((np.log(5 / 3) + LN2) / 2)


def test_total_loss_is_the_weighted_sum():
    assert reference.total_loss(
        1.0, 2.0, 3.0, 4.0, 5.0, alpha=0.01, beta_1=0.1, beta_2=0.2, lambda_=1.0
    ) == pytest.approx(1.0 + 0.02 + 0.3 + 0.8 + 5.0)


STATES = np.array([[[9.0], [1.0]], [[2.0], [1.0]]])
TARGETS = np.array([[0, 2], [1, 3]])
ITEMS = np.array([[0.0], [LN2], [LN3]])


def test_bce_loss_by_hand():
    negatives = np.array([[0, 3], [2, 1]])
    # sigma(ln x) = x / (1 + x); the position without a target does not count.
    expected = [
        np.log(3 / 2) + np.log(1 + 3),  # ln 2 against ln 3
        np.log(2) + np.log(1 + 4),  # 0 against 2 ln 2
        np.log(4 / 3) + np.log(2),  # ln 3 against 0
    ]
    found = reference.bce_loss(STATES, TARGETS, ITEMS, negatives)
    assert found == pytest.approx(np.mean(expected))


def test_softmax_loss_by_hand():
    # exp of scores: 1 2 3 with target 2; 1 4 9 with target 1; 1 2 3 with target 3.
    expected = [np.log(6 / 2), np.log(14), np.log(6 / 3)]
    found = reference.softmax_loss(STATES, TARGETS, ITEMS)
    assert found == pytest.approx(np.mean(expected))


def test_sampled_softmax_loss_by_hand():
    negatives = np.array([[[0, 0], [3, 2]], [[2, 3], [1, 1]]])
    sampling = np.array([0.5, 0.25, 0.25])
    # exp of score over Q: 8 with 12, the target drawn again left out; 2 with 16 and 36;
    # 12 with 2 and 2.
    expected = [np.log(20 / 8), np.log(54 / 2), np.log(16 / 12)]
    arguments = (STATES, TARGETS, ITEMS, negatives, sampling)
    assert reference.sampled_softmax_loss(*arguments) == pytest.approx(
        np.mean(expected)
    )
    # The target as it is: 2 with 12; 1 with 16 and 36; 3 with 2 and 2.
    expected = [np.log(14 / 2), np.log(53), np.log(7 / 3)]
    assert reference.sampled_softmax_loss(*arguments, positive=False) == pytest.approx(
        np.mean(expected)
    )


def test_gbce_loss_by_hand():
    # alpha = 2 / 2, so beta is 1 whatever t; alpha = 1/4: t = 0 gives 1, t = 1 alpha.
    assert reference.gbce_beta(2, 3, t=0.75) == pytest.approx(1.0)
    assert reference.gbce_beta(1, 5, t=0.0) == pytest.approx(1.0)
    assert reference.gbce_beta(1, 5, t=1.0) == pytest.approx(0.25)
    assert reference.gbce_beta(1, 5, t=0.5) == pytest.approx(0.625)
    negatives = np.array([[[0], [3]], [[2], [1]]])
    # V = 3 and k = 1: alpha = 1/2, and t = 1/2 makes beta 3/4.
    expected = [
        0.75 * np.log(3 / 2) + np.log(1 + 3),
        0.75 * np.log(2) + np.log(1 + 4),
        0.75 * np.log(4 / 3) + np.log(2),
    ]
    found = reference.gbce_loss(STATES, TARGETS, ITEMS, negatives, t=0.5)
    assert found == pytest.approx(np.mean(expected) / 2)

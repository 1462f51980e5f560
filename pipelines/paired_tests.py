"""Paired tests between two models, user by user."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """How two models differ on the same users.

    Attributes:
        users: N.
        difference: mean over users of the first model's metric minus the second's.
        low: lower end of the 95 % confidence interval of the mean (Student's t).
        high: its upper end.
        p_t: two-sided p of the paired t-test.
        p_wilcoxon: two-sided p of Wilcoxon's signed-rank test; 1 if no user differs.
    """

    users: int
    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float


def user_metric(ranks: np.ndarray, metric: str) -> np.ndarray:
    """A metric of every user, averaged over seeds.

    Args:
        ranks: rank of the target, 1 is best, int [seeds, N].
        metric: "HR@k" or "NDCG@k".

    Returns:
        float64 [N].

    Raises:
        ValueError: if `metric` is none of them.
    """
    name, _, cutoff = metric.partition("@")
    if name not in ("HR", "NDCG") or not cutoff.isdigit():
        raise ValueError(f"`metric` must be HR@k or NDCG@k. Received: {metric!r}")
    gains = 1 / np.log2(ranks + 1.0) if name == "NDCG" else np.ones(np.shape(ranks))
    return np.mean(np.where(ranks <= int(cutoff), gains, 0.0), axis=0)


def paired_test(first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Compares two models by a metric of every user.

    Args:
        first: metric of the first model, float [N].
        second: metric of the second, of the same users in the same order, float [N].

    Raises:
        ValueError: if there are not as many users in both, or fewer than two.
    """
    from scipy import stats

    if first.shape != second.shape or first.size < 2:
        raise ValueError(
            "both models must have the same users, two at least. "
            f"Received: {first.shape}, {second.shape}"
        )
    differences = first - second
    if not np.any(differences):
        return PairedTest(first.size, 0.0, 0.0, 0.0, 1.0, 1.0)
    t_test = stats.ttest_rel(first, second)
    interval = t_test.confidence_interval(0.95)
    return PairedTest(
        users=first.size,
        difference=float(np.mean(differences)),
        low=float(interval.low),
        high=float(interval.high),
        p_t=float(t_test.pvalue),
        p_wilcoxon=float(stats.wilcoxon(differences).pvalue),
    )

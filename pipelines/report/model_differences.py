"""Differences between two models, with intervals over seeds and users together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

METRICS = ("NDCG@5", "NDCG@20", "HR@20", "MRR")
USERS = ("all", "head", "tail")

_RESAMPLES = 2000
_CHUNK = 100


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of two models in a metric, on one group of users.

    Attributes:
        metric: one of `METRICS`.
        users: name of the group.
        count: users in the group.
        second: mean of the second model's metric.
        difference: mean of the first model's metric minus that of the second's.
        low: lower end of the 95 % interval of the difference.
        high: its upper end.
    """

    metric: str
    users: str
    count: int
    second: float
    difference: float
    low: float
    high: float

    def relative(self) -> tuple[float, float, float] | None:
        """Difference, lower and upper end over the second model's mean; None if 0."""
        level = self.second
        if not level:
            return None
        return self.difference / level, self.low / level, self.high / level


def user_metric(ranks: np.ndarray, metric: str) -> np.ndarray:
    """A metric of every user.

    Args:
        ranks: rank of the target, 1 is best, int [..., N].
        metric: "HR@k", "NDCG@k" or "MRR".

    Returns:
        float64 [..., N].

    Raises:
        ValueError: if `metric` is none of them.
    """
    if metric == "MRR":
        return 1.0 / np.asarray(ranks, np.float64)
    name, _, cutoff = metric.partition("@")
    if name not in ("HR", "NDCG") or not cutoff.isdigit():
        raise ValueError(f"`metric` must be HR@k, NDCG@k or MRR. Received: {metric!r}")
    gains = 1 / np.log2(ranks + 1.0) if name == "NDCG" else np.ones(np.shape(ranks))
    return np.where(ranks <= int(cutoff), gains, 0.0)


def differences(
    first: np.ndarray, second: np.ndarray, is_head: np.ndarray, seed: int = 0
) -> list[Difference]:
    """Compares two models by a hierarchical bootstrap.

    Every resample draws each model's seeds, and the users that both are measured on,
    with replacement; the interval lies between the 2.5th and the 97.5th percentile of
    the differences. A model with one seed adds nothing for its seeds: then the interval
    knows of users alone. With S seeds the part that they add is too small by a factor
    of about sqrt(1 - 1 / S).

    Args:
        first: ranks of the first model, int [S, N].
        second: ranks of the second, of the same users, int [S', N].
        is_head: bool [N].
        seed: of the resampling.

    Returns:
        one for every metric and group of users that is not empty.

    Raises:
        ValueError: if the models' users are not the same number, or fewer than two.
    """
    members = {"all": np.ones_like(is_head), "head": is_head, "tail": ~is_head}
    found = group_differences(first, second, members, seed)
    return sorted(found, key=lambda d: (METRICS.index(d.metric), USERS.index(d.users)))


def group_differences(
    first: np.ndarray,
    second: np.ndarray,
    members: Mapping[str, np.ndarray],
    seed: int = 0,
) -> list[Difference]:
    """Compares two models on groups of users, as `differences` does.

    Args:
        first: ranks of the first model, int [S, N].
        second: ranks of the second, of the same users, int [S', N].
        members: who belongs to a group, bool [N], by its name.
        seed: of the resampling.

    Returns:
        one for every group that is not empty and every metric.

    Raises:
        ValueError: as `differences`.
    """
    if first.shape[1:] != second.shape[1:] or first.shape[1] < 2:
        raise ValueError(
            "both models must have the same users, two at least. "
            f"Received: {first.shape}, {second.shape}"
        )
    values = [
        np.stack([user_metric(ranks, metric) for metric in METRICS])
        for ranks in (first, second)
    ]
    found = []
    for users, who in members.items():
        if np.any(who):
            ours, theirs = (of_model[:, :, who] for of_model in values)
            found += _differences_in(users, ours, theirs, seed)
    return found


def _differences_in(
    users: str, ours: np.ndarray, theirs: np.ndarray, seed: int
) -> list[Difference]:
    """The differences in one group, of values [M, S, N] and [M, S', N]."""
    means = [of_model.mean(axis=(1, 2)) for of_model in (ours, theirs)]
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(list(_resampled(ours, theirs, generator)))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    found = []
    for number, metric in enumerate(METRICS):
        level = float(means[1][number])
        shift = float(means[0][number]) - level
        ends = float(low[number]), float(high[number])
        found.append(Difference(metric, users, ours.shape[2], level, shift, *ends))
    return found


def _resampled(
    first: np.ndarray, second: np.ndarray, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Differences [n, M] of resamples, of values [M, S, N] and [M, S', N]."""
    for _ in range(_RESAMPLES // _CHUNK):
        users = _drawn_shares(first.shape[2], generator)
        means = []
        for values in (first, second):
            seeds = _drawn_shares(values.shape[1], generator)
            by_seed = np.tensordot(users, values, axes=(1, 2))
            means.append(np.einsum("rms,rs->rm", by_seed, seeds))
        yield means[0] - means[1]


def _drawn_shares(count: int, generator: np.random.Generator) -> np.ndarray:
    """Shares of `count` things in draws of as many with replacement, [n, count]."""
    drawn = generator.integers(count, size=(_CHUNK, count))
    counts = [np.bincount(row, minlength=count) for row in drawn]
    return np.stack(counts) / count

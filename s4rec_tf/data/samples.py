"""Training samples, as windows on a split; needs NumPy alone."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from s4rec_tf.data.sequences import Sequences

MOST_PREFIXES = 50
"""Actions of an average user up to which every prefix is a sample by default."""

_MAX_BATCH_SIZE = 256
_MIN_STEPS = 50
_SMALLEST_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Samples:
    """Training samples as windows on a split's values.

    Sample n's input is `values[starts[n]:ends[n]]`, its last target `values[ends[n]]`.

    Attributes:
        starts: int64 [N].
        ends: int64 [N].
        users: row of the sample's user in the split, int32 [N].
        num_targets: T; 1 if only the last position has a target, else L.
    """

    starts: np.ndarray
    ends: np.ndarray
    users: np.ndarray
    num_targets: int

    def __len__(self) -> int:
        return len(self.starts)


SampleKind = Literal["auto", "prefix", "sequence", "window"]
AUTO_KINDS: tuple[SampleKind, ...] = ("prefix", "window")
"""The kinds that "auto" chooses from."""


def training_samples(
    sequences: Sequences, kind: SampleKind, max_length: int
) -> Samples:
    """Cuts a split into samples; users with a single action give none.

    Args:
        sequences: the train split.
        kind: "prefix": every prefix is a sample, with a target at its last position;
            "sequence": a user is a sample, with a target at every position of the last
            L; "window": so is every further L of a user's positions before those, and
            each action but the first is a target once; "auto": prefixes if users have
            no more than `MOST_PREFIXES` actions on average, otherwise windows. An epoch
            over prefixes costs as many times more as users have actions.
        max_length: L.

    Raises:
        ValueError: if no user has two actions.
    """
    lengths = sequences.lengths
    if not np.any(lengths > 1):
        raise no_samples(lengths)
    kind = resolved_kind(kind, lengths.mean())
    num_targets = max_length
    if kind == "sequence":
        users = np.flatnonzero(lengths > 1)
        ends = sequences.offsets[users + 1] - 1
    elif kind == "window":
        users, ends = _window_ends(sequences, max_length)
    else:
        users = np.repeat(np.arange(len(lengths)), np.maximum(lengths - 1, 0))
        is_first = np.zeros(len(sequences.values), bool)
        is_first[sequences.offsets[:-1][lengths > 0]] = True
        ends, num_targets = np.flatnonzero(~is_first), 1
    starts = sequences.offsets[users]
    return Samples(starts, ends, users.astype(np.int32), num_targets)


def no_samples(lengths: np.ndarray) -> ValueError:
    """The error of a split whose users, of these lengths, give no sample."""
    return ValueError(
        "training needs a user with at least 2 actions in the train split. "
        f"Received: {len(lengths)} users, the longest with {lengths.max(initial=0)}"
    )


def resolved_kind(kind: SampleKind, mean_length: float) -> SampleKind:
    """The kind itself; of "auto", the one for users of this length."""
    if kind != "auto":
        return kind
    return "window" if mean_length > MOST_PREFIXES else "prefix"


def samples_a_user(
    lengths: np.ndarray, kind: SampleKind, max_length: int
) -> np.ndarray:
    """The samples that `training_samples` cuts from users of these lengths, int [N]."""
    targets = np.maximum(lengths - 1, 0)
    if kind == "sequence":
        return np.minimum(targets, 1)
    return targets if kind == "prefix" else -(-targets // max_length)


@dataclasses.dataclass(frozen=True)
class UserStream:
    """Batches of users beside every n-th batch of samples.

    Attributes:
        samples: one a user, the longest prefix, with a target at its last position.
        every: n, so that an epoch meets each user about once.
        batch_size: B, that of the samples; users come again where there are fewer.
    """

    samples: Samples
    every: int
    batch_size: int

    @classmethod
    def beside(
        cls, num_samples: int, batch_size: int, sequences: Sequences, max_length: int
    ) -> UserStream:
        """The stream beside batches of samples.

        Args:
            num_samples: samples of an epoch.
            batch_size: B.
            sequences: the train split.
            max_length: L.
        """
        whole = training_samples(sequences, "sequence", max_length)
        samples = dataclasses.replace(whole, num_targets=1)
        in_steps = num_samples // batch_size * batch_size
        every = max(round(in_steps / len(samples)), 1)
        return cls(samples, every, batch_size)

    def places(self, step: Any) -> Any:
        """Places in the order of an epoch's users that a step takes, [..., B].

        Args:
            step: of the epoch, a multiple of `every`; an array of whole numbers.
        """
        first = step[..., None] // self.every * self.batch_size
        return (first + np.arange(self.batch_size)) % len(self.samples)


def _window_ends(
    sequences: Sequences, max_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Users and places of the last target of every window, the latest of a user first.

    Windows begin where the user does: batches keep the last L of them anyway.
    """
    targets = np.maximum(sequences.lengths - 1, 0)
    counts = -(-targets // max_length)
    users = np.repeat(np.arange(len(counts)), counts)
    earlier = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    return users, sequences.offsets[users + 1] - 1 - earlier * max_length


def head_flags(
    sequences: Sequences, samples: Samples, by: Literal["user", "prefix"]
) -> np.ndarray:
    """Head flag of every sample, bool [N]."""
    if by == "user":
        return sequences.is_head[samples.users]
    return sequences.is_head_length(samples.ends - samples.starts)


def suitable_batch_size(num_samples: int, num_replicas: int = 1) -> int:
    """256, or less where an epoch would have fewer than 50 steps; at least 16.

    The result is a multiple of the number of replicas and no larger than the data.
    """
    size = _MAX_BATCH_SIZE
    while size > _SMALLEST_BATCH and num_samples // size < _MIN_STEPS:
        size //= 2
    size = min(size, num_samples)
    return max(size // num_replicas, 1) * num_replicas


def global_batch_size(requested: int, num_samples: int, num_replicas: int) -> int:
    """The global batch.

    Raises:
        ValueError: if the requested one does not fit the replicas or the data.
    """
    if not requested:
        return suitable_batch_size(num_samples, num_replicas)
    if requested % num_replicas or requested > num_samples:
        raise ValueError(
            f"`batch_size` must be a multiple of the {num_replicas} replicas and at "
            f"most the {num_samples} training samples. Received: {requested}"
        )
    return requested

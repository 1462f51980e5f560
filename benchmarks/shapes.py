"""Training data: sequences with Amazon Beauty's lengths and popularity."""

from __future__ import annotations

import dataclasses

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences

# Users of Amazon Beauty (2014, 5-core) by the length of their sequence: the shortest
# length of a bin and the users in it. The last bin ends below 205.
_LENGTH_BINS = (
    *((5, 7162), (6, 4221), (7, 2680), (8, 1811), (9, 1366), (10, 881), (11, 695)),
    *((12, 558), (13, 439), (14, 361), (15, 262), (16, 207), (17, 213), (18, 141)),
    *((19, 118), (20, 229), (22, 150), (24, 208), (27, 180), (31, 128), (36, 103)),
    *((41, 97), (51, 62), (61, 49), (81, 25), (101, 13), (151, 4)),
)
_LENGTH_END = 205
_HEAD_SHARE = 0.2
# Actions on the item of rank r go as (r + 200)^-0.92: fitted to Beauty's counts, whose
# logarithms it meets within 0.033 on average.
_POPULARITY_SHIFT, _POPULARITY_EXPONENT = 200, 0.92


@dataclasses.dataclass(frozen=True)
class Shape:
    """A size of data, and the loss that is meant for it.

    Attributes:
        num_users: users.
        num_items: V.
        loss: form of the next-item loss.
        optimizer: that goes with it, on TensorFlow.
    """

    num_users: int
    num_items: int
    loss: str
    optimizer: str = "adam"


SHAPES = {
    "beauty": Shape(22_363, 12_101, "softmax"),
    "million": Shape(22_363, 1_000_000, "sampled_softmax", "lazy_adam"),
    "million_softmax": Shape(22_363, 1_000_000, "softmax"),
    "tiny": Shape(200, 300, "softmax"),
}
"""Choices of `--shapes`; `tiny` is for trials of the benchmark itself."""


def generate(num_users: int, num_items: int, seed: int = 0) -> Sequences:
    """A train split with Beauty's lengths and popularity, items drawn independently.

    Args:
        num_users: users.
        num_items: V.
        seed: of the items and of the order of users; lengths are the same for all.
    """
    generator = np.random.default_rng(seed)
    full_lengths = generator.permutation(_full_lengths(num_users))
    # The last two actions of a sequence are held out, as in a dataset folder.
    offsets = np.concatenate([[0], np.cumsum(full_lengths - 2)])
    return Sequences(
        user_ids=np.arange(num_users),
        values=_draw_items(generator, num_items, offsets[-1]),
        offsets=offsets,
        target_ids=np.zeros(num_users, np.int32),
        is_head=_longest(full_lengths, _HEAD_SHARE),
        sequence_lengths=full_lengths.astype(np.int32),
    )


def repeat(sequences: Sequences, times: int) -> Sequences:
    """The same users several times over."""
    ends = [sequences.offsets[1:] + n * len(sequences.values) for n in range(times)]
    return Sequences(
        user_ids=np.arange(times * len(sequences)),
        values=np.tile(sequences.values, times),
        offsets=np.concatenate([[0], *ends]),
        target_ids=np.tile(sequences.target_ids, times),
        is_head=np.tile(sequences.is_head, times),
        sequence_lengths=np.tile(sequences.sequence_lengths, times),
    )


def info_of(sequences: Sequences, num_items: int) -> spec.DatasetInfo:
    """The facts that a data job would have left."""
    lengths, num_users = sequences.sequence_lengths, len(sequences)
    return spec.DatasetInfo(
        num_users=num_users,
        num_items=num_items,
        num_actions=int(lengths.sum()),
        num_head_users=int(sequences.is_head.sum()),
        head_share=_HEAD_SHARE,
        head_min_length=int(lengths[sequences.is_head].min()),
        k_core=int(lengths.min()),
        split_examples={"train": num_users},
    )


def write_task(
    path: str, sequences: Sequences, num_items: int, batch_size: int
) -> dict[str, int]:
    """Writes a train split for a peer, and returns what it must find in it."""
    np.savez(path, values=sequences.values, offsets=sequences.offsets)
    return {
        "num_pairs": int(np.maximum(sequences.lengths - 1, 0).sum()),
        "num_items": num_items,
        "batch_size": batch_size,
    }


def _full_lengths(num_users: int) -> np.ndarray:
    """Lengths at evenly spaced quantiles, int64 [N]; even inside a bin."""
    starts, users = np.array(_LENGTH_BINS).T
    edges = np.append(starts, _LENGTH_END)
    shares = np.concatenate([[0], np.cumsum(users)]) / users.sum()
    quantiles = (np.arange(num_users) + 0.5) / num_users
    return np.floor(np.interp(quantiles, shares, edges)).astype(np.int64)


def _draw_items(
    generator: np.random.Generator, num_items: int, size: int
) -> np.ndarray:
    ranks = np.arange(1, num_items + 1)
    cumulative = np.cumsum((ranks + _POPULARITY_SHIFT) ** -_POPULARITY_EXPONENT)
    drawn = np.searchsorted(cumulative, generator.random(size) * cumulative[-1])
    # Ids say nothing of popularity, so that rows of popular items lie apart in memory.
    item_of_rank = generator.permutation(ranks)
    return item_of_rank[np.minimum(drawn, num_items - 1)].astype(np.int32)


def _longest(lengths: np.ndarray, share: float) -> np.ndarray:
    is_head = np.zeros(len(lengths), bool)
    order = np.argsort(-lengths, kind="stable")
    is_head[order[: round(share * len(lengths))]] = True
    return is_head

"""The contents of a training batch beyond the items; needs no other module."""

from __future__ import annotations

import dataclasses
from typing import Literal

Sampling = Literal["uniform", "popularity"]
"""Distribution of negatives: uniform over items, or by training actions."""


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """Contents of a batch beyond the items.

    Attributes:
        max_length: L.
        num_views: augmented views of each row.
        num_negatives: sampled items a row.
        negatives_by_position: one sampled item for every target instead.
        negative_sampling: uniform over items, or by training actions.
        head_tail_by: a row is head if its user is, or if its own input, uncut, is as
            long as the shortest head user's full sequence.
        num_correlated: what a view inserts before an item, or puts in its place, is one
            of this many items that go with it most; 0 draws it by popularity.
        future: all that follows the input, in reverse.
        users: contents of a second stream, batches of users beside every n-th batch
            of samples; None without one.
    """

    max_length: int
    num_views: int = 0
    num_negatives: int = 0
    negatives_by_position: bool = False
    negative_sampling: Sampling = "uniform"
    head_tail_by: Literal["user", "prefix"] = "user"
    num_correlated: int = 0
    future: bool = False
    users: BatchSpec | None = None

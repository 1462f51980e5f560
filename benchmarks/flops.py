"""Floating-point operations of a training step, counted by hand.

Counted is what the mathematics needs, not what a program happens to do: matrix products
on real positions (no padding), a multiplication and an addition each; the backward
pass as twice the forward pass; nothing recomputed; no normalisation, activation,
dropout, lookup or optimizer. A program that does more work than this reaches less of
the ceiling.
"""

from __future__ import annotations

import numpy as np

BACKWARD_AND_FORWARD = 3
"""Cost of a training step over its forward pass: the backward pass is twice it."""


def encoder(
    lengths: np.ndarray, dim: int, num_layers: int, last_only: bool
) -> np.ndarray:
    """Forward pass of a causal Transformer (post-norm, inner width 4 d).

    A position costs 2 d^2 times 3 for query, key and value, 1 for the output of the
    attention and 8 for the feed-forward part, that is 24 d^2; a pair of positions of
    which one may look at the other costs 4 d, and n positions have n (n + 1) / 2 such
    pairs.

    Args:
        lengths: real positions n of each sequence, int [N].
        dim: d.
        num_layers: blocks.
        last_only: only the last state is asked for: the last block then needs keys and
            values (4 d^2) of all positions, the rest (20 d^2) and the attention (n
            pairs) for the last one alone.

    Returns:
        operations of each sequence, float64 [N].
    """
    n = np.asarray(lengths, np.float64)
    full = 24 * dim**2 * n + 4 * dim * n * (n + 1) / 2
    if not last_only:
        return num_layers * full
    last = 4 * dim**2 * n + (20 * dim**2 + 4 * dim * n) * (n > 0)
    return (num_layers - 1) * full + last


def logits(num_positions: float, num_classes: int, dim: int) -> float:
    """Forward pass of scoring classes at positions, 2 d each."""
    return 2.0 * num_positions * num_classes * dim

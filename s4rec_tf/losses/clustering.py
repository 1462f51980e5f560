"""Clustering loss (S4Rec, Eq. 4)."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def prototype_cross_entropy(targets: Tensor, log_assignment: Tensor) -> Tensor:
    """Cross-entropy between balanced targets and soft assignments.

    Definition (Eq. 4): L_Clust = -sum_k q_u^k log p_u^k, mean over u.

    Args:
        targets: q [B, K]; constant, no gradient flows through it.
        log_assignment: log p [B, K].

    Returns:
        scalar.
    """
    targets = ops.stop_gradient(targets)
    return -ops.mean(ops.sum(targets * log_assignment, axis=-1))

"""Balanced assignment of a batch to prototypes (S4Rec, Eqs. 5-7)."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def sinkhorn_targets(
    similarities: Tensor, epsilon: float = 0.05, iterations: int = 3
) -> Tensor:
    """Targets q: the entropic optimal transport of a batch onto the prototypes.

    Definition: Q* = diag(m) exp(Z mu^T / epsilon) diag(v) (Eq. 7) with row sums 1/B and
    column sums 1/K (Eq. 6), m and v found by Sinkhorn-Knopp in the log domain, so that
    no epsilon overflows. Rows are normalised last and rescaled by B, which cancels the
    scale of the columns.

    Args:
        similarities: Z mu^T, [B, K]; any finite values.
        epsilon: smoothness of the targets.
        iterations: pairs of column and row normalisations, at least 1.

    Returns:
        q [B, K], rows sum to 1; no gradient flows through it.
    """
    log_q = ops.stop_gradient(ops.cast(similarities, "float32")) / epsilon
    for _ in range(iterations):
        log_q = log_q - ops.logsumexp(log_q, axis=0, keepdims=True)
        log_q = log_q - ops.logsumexp(log_q, axis=1, keepdims=True)
    return ops.exp(log_q)

"""Losses that want the next item to score higher than others.

All return one value a row; a score is r, i the next item and j one of its negatives.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

_LEFT_OUT = -1e9
_LEAST = 1e-24


def bpr(positive: Tensor, negative: Tensor, is_negative: Tensor) -> Tensor:
    """Bayesian personalised ranking (Rendle et al., UAI 2009).

    Definition: -mean_j log sigmoid(r_i - r_j).

    Args:
        positive: r_i [...].
        negative: r_j [..., M].
        is_negative: bool [..., M]; False where there is no negative.

    Returns:
        [...]; 0 where a row has no negative.
    """
    losses = ops.softplus(negative - positive[..., None])
    return _mean(losses, is_negative)


def top1(positive: Tensor, negative: Tensor, is_negative: Tensor) -> Tensor:
    """TOP1 (Hidasi et al., ICLR 2016).

    Definition: mean_j sigmoid(r_j - r_i) + sigmoid(r_j^2).

    Args and result are those of `bpr`.
    """
    losses = ops.sigmoid(negative - positive[..., None])
    losses = losses + ops.sigmoid(ops.square(negative))
    return _mean(losses, is_negative)


def bpr_max(
    positive: Tensor, negative: Tensor, is_negative: Tensor, regularization: float
) -> Tensor:
    """BPR-max with its regularisation (Hidasi and Karatzoglou, CIKM 2018).

    Definition: -log sum_j s_j sigmoid(r_i - r_j) + lambda sum_j s_j r_j^2 with s the
    softmax over the negatives' scores.

    Args:
        positive: r_i [...].
        negative: r_j [..., M].
        is_negative: bool [..., M]; False where there is no negative.
        regularization: lambda.

    Returns:
        [...]; 0 where a row has no negative.
    """
    share = ops.softmax(ops.where(is_negative, negative, _LEFT_OUT), axis=-1)
    is_above = share * ops.sigmoid(positive[..., None] - negative)
    losses = -ops.log(ops.maximum(ops.sum(is_above, axis=-1), _LEAST))
    penalty = ops.sum(share * ops.square(negative), axis=-1)
    has_any = ops.cast(ops.any(is_negative, axis=-1), losses.dtype)
    return (losses + regularization * penalty) * has_any


def log_loss(positive: Tensor, negative: Tensor, is_negative: Tensor) -> Tensor:
    """Binary cross-entropy of an item and its negatives (He et al., WWW 2017, Eq. 7).

    Definition: -log sigmoid(r_i) - sum_j log(1 - sigmoid(r_j)).

    Args and result are those of `bpr`, but for rows without negative.
    """
    weight = ops.cast(is_negative, negative.dtype)
    return ops.softplus(-positive) + ops.sum(ops.softplus(negative) * weight, axis=-1)


def _mean(losses: Tensor, is_negative: Tensor) -> Tensor:
    """Mean over the negatives that there are."""
    weight = ops.cast(is_negative, losses.dtype)
    count = ops.maximum(ops.sum(weight, axis=-1), 1.0)
    return ops.sum(losses * weight, axis=-1) / count

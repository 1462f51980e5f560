"""Next-item losses (S4Rec, Eq. 1) in five forms.

All return one value a position; `mean_over_targets` makes the scalar of them, in which
positions whose target is `PAD_ID` weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.losses import pairwise
from s4rec_tf.losses.chunked_softmax import ChunkedSoftmax

Tensor = Any

Lookup = Callable[[Tensor], Tensor]
"""Function from item ids int32 [...] to vectors e [..., d]; any for `PAD_ID`."""

_LEFT_OUT = -1e9


def lookup_in(item_vectors: Tensor) -> Lookup:
    """Looks items up in e [V, d], or values of items in [V]."""
    return lambda item_ids: backend.gather_rows(
        item_vectors, ops.maximum(item_ids - 1, 0)
    )


def score_items(states: Tensor, vectors_of: Lookup, item_ids: Tensor) -> Tensor:
    """Scores of one item a position.

    Args:
        states: h [B, T, d].
        vectors_of: gives vectors of items.
        item_ids: int32 [B, T], or [B, 1] for the same item at all positions.

    Returns:
        h . e, [B, T].
    """
    return ops.sum(states * vectors_of(item_ids), axis=-1)


@backend.compiled
def softmax(
    states: Tensor,
    item_vectors: Tensor,
    target_ids: Tensor,
    bound: float | None = None,
    dtype: str = "float32",
) -> Tensor:
    """Cross-entropy over all items.

    Definition: -log exp(h . e_target) / sum_v exp(h . e_v).

    The gradient is written out, which saves a pass over [N, V]; see `chunked_softmax`.

    Args:
        states: h [N, d].
        item_vectors: e [V, d]; row i is item i + 1.
        target_ids: int32 [N].
        bound: what no |h . e_v| exceeds, if known; see `chunked_softmax`.
        dtype: of the factors of the products over all items.

    Returns:
        [N].
    """
    rows = ops.maximum(target_ids - 1, 0)

    @ops.custom_gradient
    def of_vectors(states: Tensor, item_vectors: Tensor) -> Any:
        sums = ChunkedSoftmax(states, item_vectors, bound, dtype)
        target_vectors = ops.take(item_vectors, rows, axis=0)
        losses = sums.log_sum() - ops.sum(states * target_vectors, axis=-1)

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            scale = upstream[:, None]
            to_states = scale * (sums.mean_vectors() - target_vectors)
            to_items = sums.weighted_states(upstream)
            to_items = ops.scatter_update(
                to_items,
                rows[:, None],
                -scale * states,
                reduction="add",
            )
            return to_states, to_items

        return losses, gradient

    return of_vectors(states, item_vectors)


def sampled_softmax(
    states: Tensor,
    vectors_of: Lookup,
    target_ids: Tensor,
    negative_ids: Tensor,
    log_expected_counts: Lookup,
) -> Tensor:
    """Cross-entropy over the target and sampled negatives, with logQ correction.

    Definition: as `softmax`, over {target} and the negatives, every logit reduced by
    the log of the item's expected number of draws. Negatives that are the target are
    left out.

    Args:
        states: h [B, T, d].
        vectors_of: gives vectors of items.
        target_ids: int32 [B, T].
        negative_ids: int32 [B, n], shared by the positions of a row.
        log_expected_counts: gives the log of the expected draws of items.

    Returns:
        [B, T].
    """
    positive = score_items(states, vectors_of, target_ids)
    positive = positive - log_expected_counts(target_ids)
    negative = _score_shared(states, vectors_of, negative_ids)
    negative = negative - log_expected_counts(negative_ids)[:, None, :]
    is_target = ops.equal(negative_ids[:, None, :], target_ids[:, :, None])
    negative = ops.where(is_target, _LEFT_OUT, negative)
    logits = ops.concatenate([positive[..., None], negative], axis=-1)
    return ops.logsumexp(logits, axis=-1) - positive


def binary_cross_entropy(
    states: Tensor, vectors_of: Lookup, target_ids: Tensor, negative_ids: Tensor
) -> Tensor:
    """One negative a position, as SASRec and ICLRec train.

    Definition: -log sigmoid(h . e_target) - log(1 - sigmoid(h . e_negative)).

    Args:
        states: h [B, T, d].
        vectors_of: gives vectors of items.
        target_ids: int32 [B, T].
        negative_ids: int32 [B, T]; `PAD_ID` where a position has no negative.

    Returns:
        [B, T].
    """
    positive = ops.softplus(-score_items(states, vectors_of, target_ids))
    negative = ops.softplus(score_items(states, vectors_of, negative_ids))
    has_negative = ops.cast(ops.not_equal(negative_ids, spec.PAD_ID), negative.dtype)
    return positive + negative * has_negative


def generalized_binary_cross_entropy(
    states: Tensor,
    vectors_of: Lookup,
    target_ids: Tensor,
    negative_ids: Tensor,
    num_items: int,
    calibration: float,
) -> Tensor:
    """Binary cross-entropy with many negatives, calibrated (gSASRec, RecSys 2023).

    Definition: -(beta log sigmoid(h . e_target) + sum_j log(1 - sigmoid(h . e_j)))
    / (n + 1) with beta = alpha (t (1 - 1/alpha) + 1/alpha) and alpha = n / (V - 1).

    Args:
        states: h [B, T, d].
        vectors_of: gives vectors of items.
        target_ids: int32 [B, T].
        negative_ids: int32 [B, n]; those equal to a position's target are left out.
        num_items: V.
        calibration: t in [0, 1]; 0 is plain binary cross-entropy.

    Returns:
        [B, T].
    """
    num_negatives = negative_ids.shape[1]
    alpha = num_negatives / (num_items - 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    positive = ops.softplus(-score_items(states, vectors_of, target_ids))
    negative = ops.softplus(_score_shared(states, vectors_of, negative_ids))
    is_other = ops.not_equal(negative_ids[:, None, :], target_ids[:, :, None])
    negative = ops.sum(negative * ops.cast(is_other, negative.dtype), axis=-1)
    return (beta * positive + negative) / (num_negatives + 1)


def sampled_bpr(
    states: Tensor, item_vectors: Tensor, target_ids: Tensor, negative_ids: Tensor
) -> Tensor:
    """Bayesian personalised ranking of the next item over one that is sampled.

    Args:
        states: h [B, T, d].
        item_vectors: e [V, d].
        target_ids: int32 [B, T].
        negative_ids: int32 [B, T], or [B, 1] for all positions; `PAD_ID` for none.

    Returns:
        [B, T]; 0 where there is no negative.
    """
    lookup = lookup_in(item_vectors)
    positive = score_items(states, lookup, target_ids)
    negative = score_items(states, lookup, negative_ids)
    is_negative = ops.not_equal(negative_ids, spec.PAD_ID)
    is_negative = ops.broadcast_to(is_negative, ops.shape(negative))
    return pairwise.bpr(positive, negative[..., None], is_negative[..., None])


def _score_shared(states: Tensor, vectors_of: Lookup, item_ids: Tensor) -> Tensor:
    """The same n items at all positions of a row: [B, T, d], [B, n] -> [B, T, n]."""
    return ops.matmul(states, ops.swapaxes(vectors_of(item_ids), 1, 2))


def mean_over_targets(losses: Tensor, target_ids: Tensor) -> Tensor:
    """Mean of the losses at positions with a target, those of all replicas counted.

    Args:
        losses: [N] or [B, T].
        target_ids: int32 of the same shape.

    Returns:
        scalar; the mean of it over replicas is the mean over the global batch.
    """
    weight = ops.cast(ops.not_equal(target_ids, spec.PAD_ID), losses.dtype)
    count = ops.mean(backend.gather_batch(ops.sum(weight)[None]))
    return ops.sum(losses * weight) / ops.maximum(count, 1e-9)

"""Losses of several intentions a sequence (DSSRec, Eqs. 3-6)."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend, spec
from s4rec_tf.losses import next_item

Tensor = Any

_LEFT_OUT = -1e9


def best_intention_softmax(
    intentions: Tensor, item_vectors: Tensor, target_ids: Tensor
) -> Tensor:
    """Cross-entropy over all items, the best of a row's intentions telling a target.

    Definition (Eq. 6, all items in place of the batch's):
    -ln max_k exp(h_j . phi_k) / sum_v sum_k' exp(h_v . phi_k').

    Args:
        intentions: phi [B, K, D].
        item_vectors: h [V, D]; row i is item i + 1.
        target_ids: j, any number of targets of each row, int32 [B, T].

    Returns:
        [B, T]; of no meaning where the target is `PAD_ID`.
    """
    num_intents, dim = intentions.shape[1:]
    rows = ops.maximum(target_ids - 1, 0)
    targets = backend.gather_rows(item_vectors, rows)
    scores = ops.matmul(intentions, ops.swapaxes(targets, 1, 2))
    # The first target alone, for its part in the sum is known again.
    flat = ops.reshape(intentions, (-1, dim))
    repeated = ops.repeat(target_ids[:, 0], num_intents)
    losses = next_item.softmax(flat, item_vectors, repeated)
    log_sums = ops.reshape(losses, (-1, num_intents)) + scores[:, :, 0]
    normalizer = ops.logsumexp(log_sums, axis=1)
    return normalizer[:, None] - ops.max(scores, axis=1)


def sequence_to_sequence(
    past: Tensor, future: Tensor, user_index: Tensor, keep_share: float
) -> Tensor:
    """Predicts the future's vector under each category, where it is predictable.

    Definition (Eqs. 3-5), s = dot product / sqrt D: the losses of all rows u and
    categories k, -ln exp(s(phi_k(future_u), phi_k(past_u))) / sum_n sum_k'
    exp(s(phi_k'(future_n), phi_k(past_u))), of which the floor(lambda B K) smallest, at
    least one, are summed; divided by B. n runs over u and the rows of other users.
    Under data parallelism all rows are the global batch's.

    Args:
        past: phi of the inputs [B, K, D].
        future: phi of the reversed futures [B, K, D].
        user_index: int [B]; equal for rows of one user.
        keep_share: lambda.

    Returns:
        scalar.
    """
    num_intents, dim = past.shape[1:]
    candidates = ops.reshape(backend.gather_batch(future), (-1, dim))
    scores = ops.matmul(past, ops.transpose(candidates)) / dim**0.5
    own = ops.matmul(past, ops.swapaxes(future, 1, 2)) / dim**0.5
    is_other = ops.not_equal(
        user_index[:, None], backend.gather_batch(user_index)[None, :]
    )
    is_other = ops.repeat(is_other, num_intents, axis=1)
    scores = ops.where(is_other[:, None, :], scores, _LEFT_OUT)
    normalizer = ops.logsumexp(ops.concatenate([scores, own], axis=-1), axis=-1)
    losses = normalizer - ops.diagonal(own, axis1=1, axis2=2)
    known = ops.stop_gradient(losses)
    is_kept = known <= _largest_kept(backend.gather_batch(known), keep_share)
    count = ops.cast(ops.shape(past)[0], losses.dtype)
    return ops.sum(ops.where(is_kept, losses, 0.0)) / count


def _largest_kept(losses: Tensor, keep_share: float) -> Tensor:
    """The largest of the share of the losses [B, K] that are smallest, at least one."""
    ordered = ops.sort(ops.reshape(losses, (-1,)))
    total = ops.shape(ordered)[0]
    kept = ops.cast(keep_share * ops.cast(total, "float32") + 1e-4, "int32")
    return ops.take(ordered, ops.maximum(kept, 1) - 1)


def mean_over_rows(losses: Tensor, target_ids: Tensor) -> Tensor:
    """Mean over rows of the mean over a row's targets; rows without one weigh 0.

    Args:
        losses: [B, T].
        target_ids: int32 [B, T]; `PAD_ID` where there is no target.
    """
    weight = ops.cast(ops.not_equal(target_ids, spec.PAD_ID), losses.dtype)
    count = ops.maximum(ops.sum(weight, axis=1), 1.0)
    return ops.mean(ops.sum(losses * weight, axis=1) / count)

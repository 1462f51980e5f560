"""Head-tail classification (S4Rec, Eq. 13)."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend

Tensor = Any


def head_tail_cross_entropy(
    logits: Tensor, is_head: Tensor, balanced: bool = False
) -> Tensor:
    """Cross-entropy of the head-tail classifier.

    Definition (Eq. 13): L_Adv = -c_hat[c] + log sum_i exp(c_hat[i]), mean over u; if
    balanced, the mean over the two classes of the mean over the class's rows.

    Args:
        logits: c_hat [B, 2]; column 1 is head.
        is_head: True for head rows, bool [B].
        balanced: whether both classes weigh alike, those of all replicas counted; a
            batch with one class alone is averaged over its rows.

    Returns:
        scalar.
    """
    log_probabilities = ops.log_softmax(logits, axis=-1)
    losses = -ops.where(is_head, log_probabilities[:, 1], log_probabilities[:, 0])
    if not balanced:
        return ops.mean(losses)
    head = ops.cast(is_head, losses.dtype)
    # Of the global batch, divided by the number of replicas, as the mean over them is
    # what is reported and trained on.
    num_heads = _replica_mean(ops.sum(head))
    num_tails = _replica_mean(ops.sum(1 - head))
    weight = head / ops.maximum(num_heads, 1e-9)
    weight += (1 - head) / ops.maximum(num_tails, 1e-9)
    num_classes = ops.cast(num_heads > 0, losses.dtype) + ops.cast(
        num_tails > 0, losses.dtype
    )
    return ops.sum(weight * losses) / num_classes


def _replica_mean(value: Tensor) -> Tensor:
    return ops.mean(backend.gather_batch(value[None]))

"""Head-tail classification (S4Rec, Eq. 13)."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def head_tail_cross_entropy(logits: Tensor, is_head: Tensor) -> Tensor:
    """Cross-entropy of the head-tail classifier.

    Definition (Eq. 13): L_Adv = -c_hat[c] + log sum_i exp(c_hat[i]), mean over u.

    Args:
        logits: c_hat [B, 2]; column 1 stands for head.
        is_head: True for head users, bool [B].

    Returns:
        scalar.
    """
    log_probabilities = ops.log_softmax(logits, axis=-1)
    of_class = ops.where(is_head, log_probabilities[:, 1], log_probabilities[:, 0])
    return -ops.mean(of_class)

"""Cluster-aware self-distillation (S4Rec, Eqs. 11-12)."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def intent_distillation(
    teacher: Tensor, student: Tensor, tau_3: float, teacher_gradient: bool = False
) -> Tensor:
    """KL divergence from a sequence's intent to its embedding.

    Definition (Eq. 11): e_t = softmax(mu_h(u) / tau_3), e_s = softmax(z / tau_3), both
    over the d coordinates; (Eq. 12): sum_i e_t^i log(e_t^i / e_s^i), mean over u.

    Args:
        teacher: the assigned prototypes mu_h(u) [B, d].
        student: embeddings of one view, z [B, d].
        tau_3: distillation temperature.
        teacher_gradient: whether the prototypes learn from this loss too.

    Returns:
        scalar.
    """
    if not teacher_gradient:
        teacher = ops.stop_gradient(teacher)
    log_teacher = ops.log_softmax(teacher / tau_3, axis=-1)
    log_student = ops.log_softmax(student / tau_3, axis=-1)
    divergence = ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)
    return ops.mean(divergence)

"""Imitation of teachers (SSI, Eqs. 5-8)."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend

Tensor = Any


@backend.compiled
def prediction_imitation(
    teacher: Tensor, teacher_items: Tensor, student: Tensor, student_items: Tensor
) -> Tensor:
    """KL divergence from what the teacher predicts to what the student does.

    Definition (Eq. 5): sum_v p_t(v) log(p_t(v) / p_s(v)), p = softmax over all items of
    their scores. The teacher gets no gradient.

    Args:
        teacher: user vectors of the teacher [B, d'].
        teacher_items: its item vectors [V, d'].
        student: user vectors of the student [B, d].
        student_items: its item vectors [V, d].

    Returns:
        [B].
    """
    # Hidden from the gradient here, where a compiler sees it.
    of_teacher = ops.matmul(teacher, ops.transpose(teacher_items))
    log_teacher = ops.log_softmax(ops.stop_gradient(of_teacher), axis=-1)
    of_student = ops.matmul(student, ops.transpose(student_items))
    log_student = ops.log_softmax(of_student, axis=-1)
    return ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)


def representation_imitation(teacher: Tensor, student: Tensor) -> Tensor:
    """Distance of the student's item vectors from the teacher's.

    Definition (Eq. 6): |g_t - g_s|^2, mean over items. The teacher gets no gradient.

    Args:
        teacher: g_t [N, d].
        student: g_s [N, d].

    Returns:
        scalar.
    """
    difference = ops.stop_gradient(teacher) - student
    return ops.mean(ops.sum(ops.square(difference), axis=-1))


def teacher_weight_penalty(weights: Tensor) -> Tensor:
    """Keeps every teacher's weight from falling to zero.

    Definition (Eq. 8): sum_i 1 / lambda_i + (sum_i 1 / lambda_i)^2.

    Args:
        weights: lambda [n], positive.

    Returns:
        scalar.
    """
    total = ops.sum(1 / weights)
    return total + ops.square(total)

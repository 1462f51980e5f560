"""Scores of the next item beside the items that come next elsewhere in the batch."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from s4rec_tf import backend, spec

Tensor = Any

_LEFT_OUT = -1e9


class SessionScores(NamedTuple):
    """Scores for losses over session negatives.

    Attributes:
        positive: score of the next item, [N].
        negative: scores of the candidates [N, M].
        is_negative: bool [N, M]; False for the row's own next item and for padding.
    """

    positive: Tensor
    negative: Tensor
    is_negative: Tensor


def session_scores(
    states: Tensor, item_vectors: Tensor, target_ids: Tensor, candidate_ids: Tensor
) -> SessionScores:
    """Scores all rows against the same candidates.

    Args:
        states: [N, d].
        item_vectors: [V, d]; row i is item i + 1.
        target_ids: int32 [N].
        candidate_ids: int32 [M]; those of the batch's targets are drawn by popularity.
    """
    targets = backend.gather_rows(item_vectors, ops.maximum(target_ids - 1, 0))
    candidates = backend.gather_rows(item_vectors, ops.maximum(candidate_ids - 1, 0))
    is_other = ops.not_equal(candidate_ids[None, :], target_ids[:, None])
    is_item = ops.not_equal(candidate_ids, spec.PAD_ID)[None, :]
    return SessionScores(
        ops.sum(states * targets, axis=-1),
        ops.matmul(states, ops.transpose(candidates)),
        ops.logical_and(is_other, is_item),
    )


def cross_entropy(scores: SessionScores) -> Tensor:
    """Softmax over the next item and the session negatives.

    Definition: -log exp(r_i) / (exp(r_i) + sum_j exp(r_j)).

    Returns:
        [N].
    """
    negative = ops.where(scores.is_negative, scores.negative, _LEFT_OUT)
    logits = ops.concatenate([scores.positive[:, None], negative], axis=1)
    return ops.logsumexp(logits, axis=1) - scores.positive

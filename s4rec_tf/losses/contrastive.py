"""Contrastive learning between views (S4Rec, Eqs. 8-10) and intents (ICLRec)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from s4rec_tf import backend

Tensor = Any

_LEFT_OUT = -1e9


def intent_info_nce(
    view_1: Tensor,
    view_2: Tensor,
    labels: Sequence[Tensor],
    tau_2: float,
    prototypes: Tensor | None = None,
    intent: Tensor | None = None,
    decoupled: bool = False,
) -> Tensor:
    """Pulls a sequence's two views together, away from others and other intents.

    Definition (Eq. 10), s = cosine similarity / tau_2:
    pair(z1, z2) = -log exp(s(z1_u, z2_u)) / (N + I), where N sums exp(s(z1_u, z_n))
    over both views of the rows that share no label with u, and I sums
    exp(s(z1_u, mu_k)) over the prototypes k != h(u); mean over u. Without prototypes
    I is 0 and this is Eq. 9. InfoNCE keeps the positive in the denominator, which
    `decoupled` leaves out, as printed.

    Under data parallelism the negatives are the global batch's.

    Args:
        view_1: z1 [B, d], the anchors.
        view_2: z2 [B, d], the positives, row by row.
        labels: int [B] each; rows that have any of them in common, such as their user,
            are not each other's negatives.
        tau_2: temperature.
        prototypes: mu [K, d], or None for Eq. 9.
        intent: h(u) int32 [B]; needed with prototypes.
        decoupled: leave the positive out of the denominator.

    Returns:
        scalar.
    """
    anchors, own = backend.l2_normalize(view_1), backend.l2_normalize(view_2)
    positive = ops.sum(anchors * own, axis=-1, keepdims=True) / tau_2
    others = [backend.gather_batch(anchors), backend.gather_batch(own)]
    is_other = _all_differ(labels)
    denominator = [
        ops.where(is_other, _similarity(anchors, rows) / tau_2, _LEFT_OUT)
        for rows in others
    ]
    if prototypes is not None:
        to_intents = _similarity(anchors, backend.l2_normalize(prototypes)) / tau_2
        own_intent = ops.one_hot(intent, ops.shape(prototypes)[0], dtype="bool")
        denominator.append(ops.where(own_intent, _LEFT_OUT, to_intents))
    if not decoupled:
        denominator.append(positive)
    normalizer = ops.logsumexp(ops.concatenate(denominator, axis=1), axis=1)
    return ops.mean(normalizer - positive[:, 0])


def intent_contrast(
    view: Tensor, centroids: Tensor, intent: Tensor, tau: float
) -> Tensor:
    """Draws a sequence's view to its intent, away from the batch's other intents.

    Definition (ICLRec, Eqs. 8-9), s = cosine similarity / tau:
    -log exp(s(h_u, c_i(u))) / (exp(s(h_u, c_i(u))) + sum_v exp(s(h_u, c_i(v)))), where
    v runs over the rows of the global batch whose intent is another; mean over u.

    Args:
        view: h [B, d].
        centroids: c [K, d].
        intent: i(u), int [B].
        tau: temperature.

    Returns:
        scalar.
    """
    similarities = (
        _similarity(backend.l2_normalize(view), backend.l2_normalize(centroids)) / tau
    )
    num_intents = ops.shape(centroids)[0]
    is_own = ops.one_hot(intent, num_intents, dtype=similarities.dtype)
    # An intent weighs as much as it has rows, its own row's by one alone.
    rows = ops.one_hot(backend.gather_batch(intent), num_intents, dtype=is_own.dtype)
    counts = ops.where(is_own > 0, 1.0, ops.sum(rows, axis=0, keepdims=True))
    log_counts = ops.where(counts > 0, ops.log(ops.maximum(counts, 1.0)), _LEFT_OUT)
    normalizer = ops.logsumexp(similarities + log_counts, axis=1)
    return ops.mean(normalizer - ops.sum(similarities * is_own, axis=1))


def info_nce(
    anchors: Tensor, matches: Tensor, labels: Sequence[Tensor], tau: float
) -> Tensor:
    """InfoNCE: cross-entropy of each anchor's own vector among the batch's.

    A bound on their mutual information (S3-Rec, Eq. 3; SSI, Eq. 3).

    Definition, s = cosine similarity / tau: -log exp(s(a_u, m_u)) / (exp(s(a_u, m_u)) +
    sum_n exp(s(a_u, m_n))), where n runs over the rows of the global batch that share
    no label with u; mean over u.

    Args:
        anchors: a [B, d].
        matches: m [B, d], row by row.
        labels: int [B] each.
        tau: temperature.

    Returns:
        scalar.
    """
    anchors, matches = backend.l2_normalize(anchors), backend.l2_normalize(matches)
    positive = ops.sum(anchors * matches, axis=-1, keepdims=True) / tau
    others = _similarity(anchors, backend.gather_batch(matches)) / tau
    others = ops.where(_all_differ(labels), others, _LEFT_OUT)
    normalizer = ops.logsumexp(ops.concatenate([positive, others], axis=1), axis=1)
    return ops.mean(normalizer - positive[:, 0])


def _all_differ(labels: Sequence[Tensor]) -> Tensor:
    """True where a row of this replica shares no label with one of the global batch."""
    differ = [
        ops.not_equal(label[:, None], backend.gather_batch(label)[None, :])
        for label in labels
    ]
    return ops.all(ops.stack(differ), axis=0)


def _similarity(rows: Tensor, columns: Tensor) -> Tensor:
    return ops.matmul(rows, ops.transpose(columns))

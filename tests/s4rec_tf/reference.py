"""S4Rec's equations evaluated plainly in float64, to hold the implementation to.

Written from the paper (arXiv 2404.07219; equation numbers of the published text) and
the decisions in docs/deviations.md, not from the code under test. Loops follow the
indices of the equations: u and n are rows of a batch, k is a prototype.

z, z1, z2: sequence embeddings of a batch and of its two views, [B, d].
mu: prototypes, [K, d].
assigned: h(u), index of every row's prototype, int [B].
user_index: equal for rows that are sequences of one user, int [B].
states: encoder states, [B, T, d]; targets: item ids, int [B, T], 0 where there is none.
items: item table, [V, d], row n - 1 of item n.
"""

import numpy as np


def unit(vectors):
    """Rows divided by their Euclidean norm."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.sqrt(np.sum(vectors**2, axis=-1, keepdims=True))


def softmax(logits):
    """Softmax over the last axis."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def prototype_scores(z, mu, normalize=True):
    """z_u . mu_k, [B, K]; of unit vectors if `normalize`."""
    z, mu = np.asarray(z, np.float64), np.asarray(mu, np.float64)
    return unit(z) @ unit(mu).T if normalize else z @ mu.T


def soft_assignment(z, mu, tau_1, normalize=True):
    """Eq. 3: p_u^k = exp(z_u . mu_k / tau_1) / sum_k' exp(z_u . mu_k' / tau_1)."""
    return softmax(prototype_scores(z, mu, normalize) / tau_1)


def sinkhorn_targets(scores, eps=0.05, iterations=3):
    """Eqs. 5-7: q [B, K] of `prototype_scores` [B, K]; rows sum to 1.

    Every iteration first gives each prototype a total of 1/K, then each sample 1/B.
    """
    scores = np.asarray(scores, np.float64)
    num_rows, num_prototypes = scores.shape
    # The greatest score cancels in the division by the sum; it only bounds exp.
    q = np.exp((scores - np.max(scores)) / eps)
    q = q / np.sum(q)
    for _ in range(iterations):
        for k in range(num_prototypes):
            q[:, k] = q[:, k] / np.sum(q[:, k]) / num_prototypes
        for u in range(num_rows):
            q[u, :] = q[u, :] / np.sum(q[u, :]) / num_rows
    return q * num_rows


def assigned_intents(q):
    """h(u) = argmax_k q_u^k."""
    return np.argmax(q, axis=1)


def clustering_loss(p, q):
    """Eq. 4: mean over u of -sum_k q_u^k log p_u^k."""
    return np.mean(-np.sum(np.asarray(q) * np.log(p), axis=1))


def contrastive_pair(
    first, second, user_index, tau_2, mu=None, assigned=None, decoupled=False
):
    """Eq. 9, and Eq. 10 where mu is given: mean over u of one direction.

    -log exp(first_u . second_u / tau_2) / (positive + negatives), all unit vectors.
    Negatives of u: both views of every row of another user, and every prototype but
    the assigned one. `decoupled` leaves the positive out of the denominator.
    """
    first, second = unit(first), unit(second)
    losses = []
    for u in range(len(first)):
        positive = np.exp(first[u] @ second[u] / tau_2)
        denominator = 0.0 if decoupled else positive
        for n in range(len(first)):
            if user_index[n] != user_index[u]:
                denominator += np.exp(first[u] @ first[n] / tau_2)
                denominator += np.exp(first[u] @ second[n] / tau_2)
        if mu is not None:
            for k, prototype in enumerate(unit(mu)):
                if k != assigned[u]:
                    denominator += np.exp(first[u] @ prototype / tau_2)
        losses.append(-np.log(positive / denominator))
    return np.mean(losses)


def contrastive_loss(
    z1, z2, user_index, tau_2, mu=None, assigned=None, decoupled=False
):
    """L_SCL = pair(z1, z2) + pair(z2, z1), Eqs. 8-9; Eq. 10 where mu is given."""
    rest = (user_index, tau_2, mu, assigned, decoupled)
    return contrastive_pair(z1, z2, *rest) + contrastive_pair(z2, z1, *rest)


def distillation_loss(z1, z2, mu, assigned, tau_3, normalize=False):
    """Eqs. 11-12: mean over u of KL(e_t || e_s), summed over the two views.

    e_t = softmax(mu_h(u) / tau_3), e_s = softmax(z_u / tau_3) over the d coordinates.
    """
    if normalize:
        z1, z2, mu = unit(z1), unit(z2), unit(mu)
    total = 0.0
    for view in (z1, z2):
        for u in range(len(view)):
            teacher = softmax(np.asarray(mu[assigned[u]], np.float64) / tau_3)
            student = softmax(np.asarray(view[u], np.float64) / tau_3)
            total += np.sum(teacher * np.log(teacher / student))
    return total / len(z1)


def head_tail_loss(z, is_head, weight, bias):
    """Eq. 13: mean over u of -c_hat[c] + log sum_i exp(c_hat[i]).

    c_hat = z W + b with W [d, 2] and b [2]; c is 1 for a head sequence, 0 for tail.
    """
    losses = []
    for u, category in enumerate(np.asarray(is_head, int)):
        logits = np.asarray(z[u], np.float64) @ weight + bias
        losses.append(-logits[category] + np.log(np.sum(np.exp(logits))))
    return np.mean(losses)


def total_loss(l_sr, l_clust, l_scl, l_ckd, l_adv, alpha, beta_1, beta_2, lambda_):
    """Eq. 14."""
    return l_sr + alpha * l_clust + beta_1 * l_scl + beta_2 * l_ckd + lambda_ * l_adv


def real_positions(targets):
    """The (row, position) pairs that have a target."""
    return [tuple(pair) for pair in np.argwhere(np.asarray(targets) > 0)]


def bce_loss(states, targets, items, negatives):
    """Eq. 1 as SASRec trains it, with one negative a position.

    Mean over real positions of -log sigma(r_target) - log(1 - sigma(r_negative));
    negatives: int [B, T].
    """
    losses = []
    for u, t in real_positions(targets):
        state = np.asarray(states[u][t], np.float64)
        positive = state @ items[targets[u][t] - 1]
        negative = state @ items[negatives[u][t] - 1]
        losses.append(np.log1p(np.exp(-positive)) + np.log1p(np.exp(negative)))
    return np.mean(losses)


def softmax_loss(states, targets, items):
    """Eq. 1: mean over real positions of -log p(target), p over all V items."""
    losses = []
    for u, t in real_positions(targets):
        p = softmax(np.asarray(items, np.float64) @ states[u][t])
        losses.append(-np.log(p[targets[u][t] - 1]))
    return np.mean(losses)


def sampled_softmax_loss(states, targets, items, negatives, sampling, positive=True):
    """Eq. 1 by softmax over the target and n sampled negatives, with logQ correction.

    Every score is lowered by the log of the probability of sampling its item; the
    target's too, unless not `positive`. A negative that is the target is left out.
    negatives: int [B, T, n]; sampling: Q of item n at index n - 1, [V].
    """
    losses = []
    for u, t in real_positions(targets):
        target = targets[u][t]
        state = np.asarray(states[u][t], np.float64)
        correction = np.log(sampling[target - 1]) if positive else 0.0
        logits = [state @ items[target - 1] - correction]
        for item in negatives[u][t]:
            if item != target:
                logits.append(state @ items[item - 1] - np.log(sampling[item - 1]))
        losses.append(-np.log(softmax(logits)[0]))
    return np.mean(losses)


def gbce_beta(num_negatives, num_items, t):
    """gBCE: beta = alpha (t (1 - 1/alpha) + 1/alpha) with alpha = k / (V - 1)."""
    alpha = num_negatives / (num_items - 1)
    return alpha * (t * (1 - 1 / alpha) + 1 / alpha)


def gbce_loss(states, targets, items, negatives, t):
    """Eq. 1 by generalised binary cross-entropy (gSASRec, arXiv 2308.07192).

    Mean over real positions of
    -(beta log sigma(r_target) + sum_n log(1 - sigma(r_n))) / (k + 1);
    negatives: int [B, T, k].
    """
    losses = []
    for u, position in real_positions(targets):
        state = np.asarray(states[u][position], np.float64)
        sampled = negatives[u][position]
        positive = state @ items[targets[u][position] - 1]
        loss = gbce_beta(len(sampled), len(items), t) * np.log1p(np.exp(-positive))
        for item in sampled:
            loss += np.log1p(np.exp(state @ items[item - 1]))
        losses.append(loss / (len(sampled) + 1))
    return np.mean(losses)

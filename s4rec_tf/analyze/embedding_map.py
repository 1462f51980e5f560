"""Sequence embeddings laid out in the plane (S4Rec, Fig. 1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MAX_USERS = 1000
"""Most users that are shown; the time of t-SNE grows with them."""

_PERPLEXITY = 30
"""t-SNE's usual number of neighbours."""


class EmbeddingMap(NamedTuple):
    """Places of some users, near each other where their embeddings are.

    Attributes:
        places: float32 [n, 2].
        is_head: True for head users, bool [n].
        rows: indices of the users, int [n].
    """

    places: np.ndarray
    is_head: np.ndarray
    rows: np.ndarray


def embedding_map(
    embeddings: np.ndarray, is_head: np.ndarray, seed: int
) -> EmbeddingMap:
    """Lays at most `MAX_USERS` users out by t-SNE (van der Maaten and Hinton, 2008).

    Args:
        embeddings: z [N, d].
        is_head: True for head users, bool [N].
        seed: of the users' choice and of the layout.
    """
    from sklearn.manifold import TSNE

    generator = np.random.default_rng(seed)
    count = min(MAX_USERS, len(embeddings))
    chosen = np.sort(generator.permutation(len(embeddings))[:count])
    if count < 3:
        nowhere = np.zeros((count, 2), np.float32)
        return EmbeddingMap(nowhere, is_head[chosen], chosen)
    layout = TSNE(
        perplexity=min(_PERPLEXITY, (count - 1) / 3),
        init="random",
        random_state=seed,
    )
    places = layout.fit_transform(np.asarray(embeddings[chosen], np.float32))
    return EmbeddingMap(places.astype(np.float32), is_head[chosen], chosen)

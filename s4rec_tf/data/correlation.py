"""Correlated items (CoSeRec, section 3.2: the memory-based correlation)."""

from __future__ import annotations

from typing import Any

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences

_ITEMS_AT_ONCE = 512


def correlated_items(sequences: Sequences, count: int) -> np.ndarray:
    """The items most correlated with each, by ItemCF-IUF.

    Definition: Cor(i, j) = sum over the users u of both of 1 / log(1 + |N(u)|), over
    sqrt(|N(i)| |N(j)|), where N(u) are the items of a user and N(i) the users of an
    item. Of equally correlated items the one with the lower id comes first.

    Args:
        sequences: the train split.
        count: k.

    Returns:
        int32 [M + 1, k], M the highest item id of the split; the best first, over again
        where there are fewer, and `PAD_ID` where there is none.
    """
    from scipy import sparse

    num_ids = int(sequences.values.max(initial=0)) + 1
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    ones = np.ones(len(users))
    shape = (len(sequences), num_ids)
    has = sparse.csr_matrix((ones, (users, sequences.values)), shape=shape).sign()
    weights = 1 / np.log1p(np.maximum(has.sum(axis=1).A1, 1))
    norms = np.sqrt(np.maximum(has.sum(axis=0).A1, 1))
    scaled = has @ sparse.diags(1 / norms)
    weighted = (sparse.diags(weights) @ scaled).T.tocsr()
    found = np.full((num_ids, count), spec.PAD_ID, np.int32)
    for first in range(0, num_ids, _ITEMS_AT_ONCE):
        part = (weighted[first : first + _ITEMS_AT_ONCE] @ scaled).tocsr()
        for row in range(part.shape[0]):
            best = _best(part, row, first + row, count)
            if len(best):
                found[first + row] = np.resize(best, count)
    return found


def _best(part: Any, row: int, own: int, count: int) -> np.ndarray:
    """Columns of the highest values of a sparse row, its own left out."""
    start, end = part.indptr[row], part.indptr[row + 1]
    ids, values = part.indices[start:end], part.data[start:end]
    is_other = ids != own
    ids, values = ids[is_other], values[is_other]
    # Rounded, so that ties do not hang on the order in which users were added up.
    return np.asarray(ids[np.lexsort((ids, -values.round(9)))][:count])

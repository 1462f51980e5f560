"""The full softmax over all items, in few passes over memory."""

from __future__ import annotations

from typing import Any

from keras import ops

from s4rec_tf import backend

Tensor = Any

ITEMS_AT_ONCE = 1 << 16
"""Vocabulary scored at once; a larger one is scored piece by piece, twice."""

HIGHEST_BOUND = 40.0
"""Up to here exp(-2 bound) is a normal float32."""

_SLABS = 16


class ChunkedSoftmax:
    """Sums over the items v of exp(h . e_v), by themselves and times e_v.

    Scores are made [v, N], items first: on CPUs all three matrix products are fastest
    so. The sum of exponentials comes out of the product that is needed for the gradient
    anyway, by a column of ones beside the item vectors.

    Args:
        states: h [N, d].
        item_vectors: e [V, d].
        bound: upper bound of |h . e_v|, at most `HIGHEST_BOUND`; saves the search for
            the greatest score, by which exponentials are kept in range. Not used in
            float16, whose range is too small.
        dtype: of the products, their factors and what is kept of them; in between, and
            for what is given back, float32.
    """

    def __init__(
        self,
        states: Tensor,
        item_vectors: Tensor,
        bound: float | None = None,
        dtype: str = "float32",
    ) -> None:
        self.states, self._dtype = states, dtype
        if dtype == "float16":
            bound = None
        starts = range(0, item_vectors.shape[0], ITEMS_AT_ONCE)
        self.pieces = [item_vectors[i : i + ITEMS_AT_ONCE] for i in starts]
        self.highest: Tensor = None
        self.sums: Tensor = 0.0
        for piece in self.pieces:
            scores = self._scores(piece)
            highest = bound if bound is not None else _max_over_items(scores)
            if bound is None and self.highest is not None:
                highest = ops.maximum(highest, self.highest)
                self.sums = self.sums * ops.exp(self.highest - highest)
            self.highest = highest
            self.kept = ops.cast(ops.exp(scores - highest), dtype)
            ones = ops.ones_like(piece[:, :1])
            vectors = ops.cast(ops.concatenate([piece, ones], axis=1), dtype)
            sums = backend.product(vectors, self.kept, transpose_a=True)
            self.sums = self.sums + ops.cast(sums, "float32")

    def log_sum(self) -> Tensor:
        """The log of sum_v exp(h . e_v), [N]."""
        return self.highest + ops.log(self.sums[-1])

    def mean_vectors(self) -> Tensor:
        """sum_v softmax(h)_v e_v, [N, d]."""
        return ops.transpose(self.sums[:-1] / self.sums[-1])

    def weighted_states(self, weights: Tensor) -> Tensor:
        """sum_n weight_n softmax(h_n)_v h_n, [V, d].

        Args:
            weights: [N].
        """
        states = self.states * (weights / self.sums[-1])[:, None]
        states = ops.cast(states, self._dtype)
        parts = [ops.matmul(self._exponentials(piece), states) for piece in self.pieces]
        return ops.cast(ops.concatenate(parts), "float32")

    def _scores(self, piece: Tensor) -> Tensor:
        """Scores of some items, [v, N]."""
        states = ops.cast(self.states, self._dtype)
        scores = backend.product(ops.cast(piece, self._dtype), states, transpose_b=True)
        return ops.cast(scores, "float32")

    def _exponentials(self, piece: Tensor) -> Tensor:
        if len(self.pieces) == 1:
            return self.kept
        return ops.cast(ops.exp(self._scores(piece) - self.highest), self._dtype)


def _max_over_items(scores: Tensor) -> Tensor:
    """Maximum over the first axis, [v, N] -> [N]; slabs, since those are vectorised."""
    height = scores.shape[0] // _SLABS
    if not height:
        return ops.max(scores, axis=0)
    highest = scores[:height]
    for slab in range(1, _SLABS):
        highest = ops.maximum(highest, scores[slab * height : (slab + 1) * height])
    rest = scores[-max(scores.shape[0] % _SLABS, 1) :]
    return ops.maximum(ops.max(highest, axis=0), ops.max(rest, axis=0))

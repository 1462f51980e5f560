"""Full ranking on the device: `s4rec_tf.ranking`'s filtered ranks, compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.ranking import full_ranking

Array = Any


class DeviceRanks:
    """Ranks a split's targets among all items; ties and NaN count against them.

    What a ranking excludes is put on the device once, for every epoch's validation.

    Args:
        sequences: histories and targets of N users.
        num_items: V.
    """

    def __init__(self, sequences: Sequences, num_items: int) -> None:
        self.num_users = len(sequences)
        chunks = full_ranking.user_chunks(self.num_users, num_items)
        self.chunk_size = chunks[0].stop if chunks else 1
        missing = -self.num_users % self.chunk_size
        targets = np.pad(sequences.target_ids, (0, missing), constant_values=1)
        rows, item_ids = full_ranking.seen_items(sequences)
        # Of unequal length by chunk; row -1 fills the shorter ones up.
        cuts = np.searchsorted(rows, [chunk.stop for chunk in chunks])
        width = int(np.diff(cuts, prepend=0).max(initial=0))
        seen_rows = np.full((len(chunks), width), -1, np.int32)
        seen_items = np.zeros((len(chunks), width), np.int32)
        for number, (chunk, last) in enumerate(zip(chunks, cuts, strict=True)):
            first = cuts[number - 1] if number else 0
            seen_rows[number, : last - first] = rows[first:last] - chunk.start
            seen_items[number, : last - first] = item_ids[first:last] - 1
        self._constants = (
            jnp.asarray(targets.reshape(-1, self.chunk_size) - 1),
            jnp.asarray(seen_rows),
            jnp.asarray(seen_items),
        )
        self._ranks = jax.jit(self._all_ranks)

    def __call__(self, user_vectors: np.ndarray, item_vectors: np.ndarray) -> Array:
        """Rank of every target, history excluded, int64 [N].

        Args:
            user_vectors: [N, d], row n of user n.
            item_vectors: [V, d], row n - 1 of item n.
        """
        missing = -self.num_users % self.chunk_size
        padded = np.pad(user_vectors, ((0, missing), (0, 0)))
        chunks = padded.reshape(-1, self.chunk_size, padded.shape[1])
        ranks = self._ranks(chunks, item_vectors, *self._constants)
        return np.asarray(ranks).reshape(-1)[: self.num_users].astype(np.int64)

    def _all_ranks(
        self, users: Array, items: Array, targets: Array, rows: Array, seen: Array
    ) -> Array:
        return jax.lax.map(
            lambda chunk: self._chunk_ranks(items, *chunk), (users, targets, rows, seen)
        )

    def _chunk_ranks(
        self, items: Array, users: Array, targets: Array, rows: Array, seen: Array
    ) -> Array:
        scores = jnp.matmul(users, items.T, precision="highest")
        target_scores = jnp.take_along_axis(scores, targets[:, None], axis=1)
        ranks = items.shape[0] - jnp.sum(scores < target_scores, axis=1)
        own = jnp.maximum(rows, 0)
        is_above = ~(scores[own, seen] < target_scores[own, 0]) & (rows >= 0)
        above = jax.ops.segment_sum(is_above.astype(jnp.int32), own, self.chunk_size)
        return ranks - above

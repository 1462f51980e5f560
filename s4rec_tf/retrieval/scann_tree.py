"""Approximate top-k by ScaNN: a tree of leaves, compressed codes, exact reordering.

Its operations are ScaNN's own. A server that loads such an export must have loaded them
(`import scann`, or TensorFlow Serving built with them); the exact kinds need none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.retrieval.kinds import RetrievalError
from s4rec_tf.retrieval.rows import ItemRows
from s4rec_tf.retrieval.tables import gather, make_table

LEAVES_PER_ROOT = 2.0
"""Leaves of the tree over the square root of the number of items."""

SEARCHED_SHARE = 0.2
"""Leaves that a query searches; recall and time rise with it."""

REORDERED_PER_NEIGHBOUR = 100
"""Candidates whose exact product is taken, over the number of items asked for."""

_SPARE_ROWS = 2.0
"""Rows in the searched leaves, at least, over the candidates that are reordered."""

_DIMENSIONS_PER_BLOCK = 2
_ANISOTROPIC_THRESHOLD = 0.2
_TRAINING_ROWS = 100_000
_NO_SCORE = np.finfo(np.float32).min


class ScannIndex:
    """Approximate maximum inner product search.

    Attributes:
        num_items: V.
        items: the vectors by themselves, by row.
        trackables: what a SavedModel must track.
    """

    def __init__(
        self, vectors: tf.Tensor, item_ids: tf.Tensor, table_dtype: str
    ) -> None:
        """Trains the tree and the codes; minutes at millions of items.

        Args:
            vectors: float32 [V, d].
            item_ids: int32 [V].
            table_dtype: of the vectors that reorder candidates: float32 or int8.

        Raises:
            RetrievalError: if ScaNN is not installed.
        """
        scann_builder, scann_ops = _load_scann()
        self.num_items = int(vectors.shape[0])
        self._leaves = max(1, round(LEAVES_PER_ROOT * math.sqrt(self.num_items)))
        builder = scann_ops.builder(vectors, 1, "dot_product")
        builder = builder.tree(
            num_leaves=self._leaves,
            num_leaves_to_search=self._leaves,
            training_sample_size=min(self.num_items, _TRAINING_ROWS),
        )
        builder = builder.score_ah(
            _DIMENSIONS_PER_BLOCK,
            anisotropic_quantization_threshold=_ANISOTROPIC_THRESHOLD,
        )
        kinds = scann_builder.ReorderType
        kind = kinds.INT8 if table_dtype == "int8" else kinds.FLOAT32
        searcher = builder.reorder(REORDERED_PER_NEIGHBOUR, quantize=kind).build()
        self._scann_ops: Any = scann_ops
        self._state = searcher.serialize_to_module()
        if kind is kinds.FLOAT32:
            # ScaNN leaves them as memory happens to be, NaN too: no weight to export.
            for unused in (self._state.int8_multipliers, self._state.dp_norms):
                unused.assign(tf.zeros_like(unused))
        # ScaNN gives no vectors back; allowed and similar items are scored by these.
        self._item_ids = tf.Variable(item_ids, trainable=False, name="item_ids")
        self.items = ItemRows(make_table(vectors, table_dtype), self._item_ids)
        self.trackables = [self._state, *self.items.trackables]

    def top(self, user_vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `retrieval.Index`; what the searched leaves lack is `PAD_ID`."""
        searcher = self._scann_ops.searcher_from_module(self._state)
        reordered = REORDERED_PER_NEIGHBOUR * k
        found = searcher.search_batched(
            user_vectors,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=reordered,
            leaves_to_search=self._leaves_to_search(reordered),
        )
        # An entry that was not found has no score: NaN, or no column at all.
        is_found = tf.math.is_finite(found.distances)
        rows = tf.where(is_found, tf.cast(found.indices, tf.int32), 0)
        item_ids = tf.where(is_found, gather(self._item_ids, rows), spec.PAD_ID)
        scores = tf.where(is_found, found.distances, _NO_SCORE)
        missing = [[0, 0], [0, k - tf.shape(scores)[1]]]
        return (
            tf.pad(scores, missing, constant_values=_NO_SCORE),
            tf.pad(item_ids, missing, constant_values=spec.PAD_ID),
        )

    def _leaves_to_search(self, reordered: tf.Tensor) -> tf.Tensor:
        """More leaves where many are asked for, as with long exclusions."""
        needed = tf.cast(reordered, tf.float32) * (self._leaves / self.num_items)
        share = max(1, round(SEARCHED_SHARE * self._leaves))
        searched = tf.maximum(
            share, tf.cast(tf.math.ceil(_SPARE_ROWS * needed), tf.int32)
        )
        return tf.minimum(searched, self._leaves)


def _load_scann() -> tuple[Any, Any]:
    try:
        from scann.scann_ops.py import scann_builder, scann_ops
    except ImportError as error:
        raise RetrievalError(
            "the index scann needs the package of that name, in the extra [scann]. "
            f"Received: {error}"
        ) from error
    return scann_builder, scann_ops

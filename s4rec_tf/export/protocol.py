"""What the export asks of a model, and the names of what it exports."""

from __future__ import annotations

from typing import Any, Protocol

FORMAT_VERSION = 1

SERVING_DEFAULT = "serving_default"
RECOMMEND = "recommend"
RECOMMEND_WITH_HISTORY = "recommend_with_history"
RECOMMEND_AMONG = "recommend_among"
SIMILAR_ITEMS = "similar_items"
EXPLAIN = "explain"
SERVING_EXAMPLES = "serving_examples"

META_FOLDER = ".meta"


class ExportError(ValueError):
    """A version that cannot be exported: the reason is in the message."""


class Recommender(Protocol):
    """A model that can be exported; a `keras.Model` in practice.

    Attributes:
        max_length: L, the number of items the encoder sees.
        variables: every variable that `user_vectors` reads.
    """

    max_length: int

    @property
    def variables(self) -> list[Any]:
        """Keras variables."""

    def user_vectors(self, item_ids: Any) -> Any:
        """float32 [B, d] from int32 [B, L] item ids, left-padded with `PAD_ID`.

        Written in `keras.ops`, so that a `tf.function` can trace it for [None, L]. Rows
        without items give finite values.
        """

    def item_vectors(self) -> Any:
        """float32 [V, d]; row i is the vector of item id i + 1."""

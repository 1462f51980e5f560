"""The interface that a model must have for export, and the names of the signatures."""

from __future__ import annotations

from typing import Any, Protocol

FORMAT_VERSION = 1

SERVING_DEFAULT = "serving_default"
RECOMMEND = "recommend"
RECOMMEND_WITH_HISTORY = "recommend_with_history"
RECOMMEND_FOR_USER = "recommend_for_user"
RECOMMEND_AMONG = "recommend_among"
SIMILAR_ITEMS = "similar_items"
EXPLAIN = "explain"
INTENTS = "intents"
SERVING_EXAMPLES = "serving_examples"

META_FOLDER = ".meta"

PADDING = {
    "history": {"side": "left", "value": ""},
    "exclude": {"side": "right", "value": ""},
    "allow": {"side": "right", "value": ""},
}
"""Inputs whose rows may be lengthened without a change of the answer, and by what.

A server that joins requests, or checks the shape of a row, reads this in the manifest.
"""


class ExportError(ValueError):
    """A version that cannot be exported: the reason is in the message."""


class Recommender(Protocol):
    """A model that can be exported; a `keras.Model` in practice.

    Attributes:
        max_length: L, the number of items the encoder sees.
        variables: every variable that `user_vectors` and `pair_scores` read.
        has_user_embeddings: whether it has vectors of users.
        cold_start_policy: how other users are served then, in words.
        is_dot_product: whether a score is the dot product of the vectors.
        has_intents: whether it assigns users to intents.
    """

    max_length: int
    has_user_embeddings: bool
    cold_start_policy: str
    is_dot_product: bool
    has_intents: bool

    @property
    def variables(self) -> list[Any]:
        """Keras variables."""

    def index_of_users(self, user_ids: Any) -> Any:
        """Row of each raw user id, int32 [N], -1 if unknown; None without users."""

    def user_vectors(self, item_ids: Any) -> Any:
        """float32 [B, d] from int32 [B, L] item ids, left-padded with `PAD_ID`.

        A model with user embeddings takes their rows as well, int32 [B], -1 if unknown.
        Written in `keras.ops`, so that a `tf.function` can trace it for [None, L]. Rows
        without items give finite values.
        """

    def item_vectors(self) -> Any:
        """float32 [V, d]; row i is the vector of item id i + 1."""

    def intent_shares(self, item_ids: Any) -> Any:
        """Shares [B, K] of the intents of histories int32 [B, L]; if `has_intents`."""

    def intent_vectors(self) -> Any:
        """User vectors [K, d] of users of one intent alone; if `has_intents`."""

    def pair_scores(self, user_vectors: Any, item_vectors: Any) -> Any:
        """Scores [N, n] of [N, 1, d] and [1, n, e]; used unless `is_dot_product`."""

"""The exported graph: raw item ids in, raw item ids out, the vocabulary inside.

`signatures.py` holds the signatures; this module holds what they share.

Alphabet of the shapes: B requests, L the encoder's length, E excluded items, W any
width, V items, d the vectors' width, max_k the width of every answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.export import protocol
from s4rec_tf.export.graph import compact_left_padded, split_by_size, with_constants
from s4rec_tf.retrieval import exclusions
from s4rec_tf.retrieval.index import build_index
from s4rec_tf.retrieval.kinds import DEFAULT, IndexKind

Answer = dict[str, tf.Tensor]

ITEMS_OF_INTENT = 5
"""Items that show what an intent likes."""


@dataclasses.dataclass(frozen=True)
class Users:
    """Encoded histories.

    Attributes:
        vectors: float32 [B, d]; zeros where `is_fallback`.
        is_fallback: bool [B]; True where no item of the history is known.
    """

    vectors: tf.Tensor
    is_fallback: tf.Tensor


class Intents(tf.Module):
    """Intents of a model: their shares in a history, and what each one likes.

    Attributes:
        shares: float [B, K] of histories int32 [B, L].
        item_ids: int32 [K, W], items of the best scores for each intent alone.
    """

    def __init__(
        self, shares: Callable[[tf.Tensor], tf.Tensor], item_ids: tf.Tensor
    ) -> None:
        """Keeps the items as a variable of the graph."""
        super().__init__(name="intents")
        self.shares = shares
        self.item_ids = tf.Variable(item_ids, trainable=False, name="intent_items")


class ServableRecommender(tf.Module):
    """A recommender with its vocabulary, its index and its fallback.

    Attributes:
        num_items: items that may be answered; V without the retired ones.
        max_length: L.
        max_k: width of every answer, at most V.
        items: vectors of the items that may be answered.
    """

    def __init__(
        self,
        model: protocol.Recommender,
        item_vocab: Path,
        popularity: np.ndarray,
        max_k: int,
        is_offered: np.ndarray,
        user_ids: np.ndarray | None = None,
        index: IndexKind = DEFAULT,
    ) -> None:
        """Builds the index and the tables.

        Args:
            model: see `protocol.Recommender`.
            item_vocab: line n is the raw id of item n.
            popularity: int [V], actions per item in the training data.
            max_k: width of an answer; cut to the number of items that are offered.
            is_offered: bool [V]; False marks a retired item, which is known in a
                history and never answered.
            user_ids: raw ids, bytes [N], of the users that a model has embeddings of;
                None for a model without.
            index: how items are searched and stored.

        Raises:
            ExportError: if the sizes of model, popularity and `is_offered` differ, no
                item is offered, or max_k < 1.
            RetrievalError: if the item vectors are not finite or the index's package
                is not installed.
        """
        super().__init__(name="s4rec")
        if max_k < 1:
            raise protocol.ExportError(f"`max_k` must be at least 1. Received: {max_k}")
        item_vectors = tf.convert_to_tensor(model.item_vectors())
        for name, values in (("popularity", popularity), ("is_offered", is_offered)):
            if values.shape != (item_vectors.shape[0],):
                raise protocol.ExportError(
                    f"`{name}` must have one value for each of the model's "
                    f"{item_vectors.shape[0]} items. Received: shape {values.shape}"
                )
        rows = np.flatnonzero(is_offered)
        if not len(rows):
            raise protocol.ExportError("every item of the dataset is retired")
        small, large = split_by_size(model.variables)
        self._pair_scores = None
        if not model.is_dot_product:
            self._pair_scores = with_constants(model.pair_scores, small)
        self._index = build_index(
            tf.gather(item_vectors, rows),
            tf.constant(rows + 1, tf.int32),
            index,
            self._pair_scores,
        )
        self.num_items = self._index.num_items
        self.max_length = int(model.max_length)
        self.max_k = min(max_k, self.num_items)
        # The function alone: the Keras model itself stays out of the object graph.
        self._user_vectors = with_constants(model.user_vectors, small)
        self.model_variables = [variable.value for variable in large]
        self.index_trackables = self._index.trackables
        self.items = self._index.items
        # Slope and intercept of a score's logit, see `calibration.fit`.
        self.calibration = tf.Variable([0.0, 0.0], trainable=False, name="calibration")
        self._track_popularity(popularity, rows)
        self._track_tables(item_vocab, len(popularity))
        self.intents: Any = None
        if model.has_intents:
            shares = with_constants(model.intent_shares, small)
            self.intents = Intents(shares, self._liked_by(model.intent_vectors()))
        self.row_of_user: Any = None
        if user_ids is not None:
            self._track_users(user_ids, model.index_of_users(user_ids))

    def _track_popularity(self, counts: np.ndarray, rows: np.ndarray) -> None:
        order = rows[np.argsort(-counts[rows].astype(np.int64), kind="stable")]
        self.popular_ids = tf.Variable(
            (order + 1).astype(np.int32), trainable=False, name="popular_ids"
        )
        self.popular_scores = tf.Variable(
            counts[order].astype(np.float32), trainable=False, name="popular_scores"
        )
        # The same by row of the index.
        self.popularity = tf.Variable(
            counts[rows].astype(np.float32), trainable=False, name="popularity"
        )

    def _track_tables(self, item_vocab: Path, size: int) -> None:
        whole, number = (
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        path = str(item_vocab)
        # A server that finds fewer lines refuses the version.
        self.line_of_item = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                path, tf.string, whole, tf.int64, number, vocab_size=size
            ),
            -1,
        )
        self.item_of_line = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                path, tf.int64, number, tf.string, whole, vocab_size=size
            ),
            "",
        )

    def _liked_by(self, vectors: tf.Tensor) -> tf.Tensor:
        width = min(ITEMS_OF_INTENT, self.num_items)
        return self._index.top(tf.cast(vectors, tf.float32), width)[1]

    def _track_users(self, user_ids: np.ndarray, rows: np.ndarray) -> None:
        known = rows >= 0
        self.row_of_user = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(user_ids[known].tolist(), tf.string),
                tf.constant(rows[known], tf.int32),
            ),
            default_value=-1,
        )

    def to_ids(self, items: tf.Tensor) -> tf.Tensor:
        """Item ids int32 of raw ids; `PAD_ID` for "" and for unknown items."""
        return tf.cast(self.line_of_item.lookup(items) + 1, tf.int32)

    def to_items(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Raw ids of item ids; "" for `PAD_ID`."""
        return self.item_of_line.lookup(tf.cast(item_ids, tf.int64) - 1)

    def encode(self, history: tf.Tensor, users: tf.Tensor | None = None) -> Users:
        """The vectors of some histories.

        Args:
            history: int32 [B, W] item ids, oldest first, `PAD_ID` anywhere is no item.
            users: rows of known users, int32 [B], -1 for others; None if all are.
        """
        item_ids = compact_left_padded(history, self.max_length)
        is_fallback = tf.reduce_all(item_ids == spec.PAD_ID, axis=1)
        who = []
        if users is not None:
            is_fallback = tf.logical_and(is_fallback, users < 0)
            who = [users]
        vectors = tf.cast(self._user_vectors(item_ids, *who), tf.float32)
        vectors = tf.where(is_fallback[:, tf.newaxis], 0.0, vectors)
        return Users(vectors, is_fallback)

    def score(self, user_vectors: tf.Tensor, item_vectors: tf.Tensor) -> tf.Tensor:
        """Scores float32 [B, n] of users [B, d] and items [B, n, e] or [1, n, e]."""
        users = user_vectors[:, tf.newaxis]
        if self._pair_scores is not None:
            return tf.cast(self._pair_scores(users, item_vectors), tf.float32)
        # Not a matrix product: equal vectors must give equal sums in every place.
        return tf.reduce_sum(users * item_vectors, axis=-1)

    def rank(self, users: Users, excluded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The best max_k items for each user; the popular ones where `is_fallback`.

        Args:
            users: see `encode`.
            excluded: int32 [B, E] item ids that must not be answered.

        Returns:
            scores float32 and item ids int32 [B, max_k], see `drop_excluded`.
        """
        width = exclusions.candidates_needed(excluded, self.max_k, self.num_items)
        scores, candidates = self._index.top(users.vectors, width)
        return self.popular_instead(users.is_fallback, scores, candidates, excluded)

    def popular_instead(
        self,
        is_fallback: tf.Tensor,
        scores: tf.Tensor,
        candidates: tf.Tensor,
        excluded: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Drops the excluded, after taking popular items where nothing is known.

        Args:
            is_fallback: bool [B].
            scores: float32 [B, K], best first; as many as `candidates_needed` gives.
            candidates: int32 [B, K].
            excluded: int32 [B, E].

        Returns:
            As `rank`.
        """
        width = tf.shape(scores)[1]
        fallback = is_fallback[:, tf.newaxis]
        scores = tf.where(fallback, self.popular_scores[tf.newaxis, :width], scores)
        candidates = tf.where(
            fallback, self.popular_ids[tf.newaxis, :width], candidates
        )
        return exclusions.drop_excluded(scores, candidates, excluded, self.max_k)

    def answer(
        self, history: tf.Tensor, excluded: tf.Tensor, users: tf.Tensor | None = None
    ) -> Answer:
        """The outputs for histories and users as of `encode`, without the excluded."""
        encoded = self.encode(history, users)
        return self.named(encoded, *self.rank(encoded, excluded))

    def named(self, users: Users, scores: tf.Tensor, top_ids: tf.Tensor) -> Answer:
        """The outputs of the signatures, see `signatures.Signatures`."""
        return {
            "item_ids": self.to_items(top_ids),
            "scores": scores,
            "user_embedding": users.vectors,
            "is_fallback": users.is_fallback,
        }

    def probabilities(self, scores: tf.Tensor, is_fallback: tf.Tensor) -> tf.Tensor:
        """Scores [B, K] of `rank` as probabilities that the item is the next one.

        By the fitted logit of the score; of a popular item, its share of all actions.
        An entry that is no item has 0.
        """
        slope, intercept = tf.unstack(self.calibration)
        fitted = tf.math.sigmoid(slope * scores + intercept)
        total = tf.maximum(tf.reduce_sum(self.popularity), 1.0)
        values = tf.where(is_fallback[:, tf.newaxis], scores / total, fitted)
        return tf.where(scores == exclusions.NO_SCORE, 0.0, values)

"""The exported graph: raw item ids in, raw item ids out, the vocabulary inside.

Alphabet of the shapes: B requests, L the encoder's length, E excluded items, W any
width, V items, d the vectors' width, max_k the width of every answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import retrieval, spec
from s4rec_tf.export import protocol

Answer = dict[str, tf.Tensor]


def compact_left_padded(item_ids: tf.Tensor, length: int) -> tf.Tensor:
    """Moves real items to the right in their order and keeps the last `length`.

    Example: `[[3, 0, 0, 7]]` with length 3 -> `[[0, 3, 7]]`.

    Args:
        item_ids: int32 [B, W]; `PAD_ID` anywhere is no item.
        length: L.

    Returns:
        int32 [B, L], left-padded with `PAD_ID`.
    """
    item_ids = tf.pad(item_ids, [[0, 0], [length, 0]], constant_values=spec.PAD_ID)
    width = tf.shape(item_ids)[1]
    position = tf.range(width)[tf.newaxis, :]
    key = tf.where(item_ids != spec.PAD_ID, position + width, position)
    order = tf.argsort(key, axis=1)[:, -length:]
    packed = tf.gather(item_ids, order, batch_dims=1)
    return tf.ensure_shape(packed, [None, length])


class ServableRecommender(tf.Module):
    """A recommender with its vocabulary, its index and its fallback.

    Attributes:
        num_items: items that may be answered; V without the retired ones.
        max_length: L.
        max_k: width of every answer, at most V.
    """

    def __init__(
        self,
        model: protocol.Recommender,
        item_vocab: Path,
        popularity: np.ndarray,
        max_k: int,
        is_offered: np.ndarray,
        user_ids: np.ndarray | None = None,
    ) -> None:
        """Builds the index and the tables.

        Args:
            model: see `protocol.Recommender`.
            item_vocab: line n is the raw id of item n.
            popularity: int [V], actions per item in the training data.
            max_k: width of an answer; cut to the number of items that are offered.
            is_offered: bool [V]; False marks a retired item, which is known in a
                history and never answered.
            user_ids: raw ids, bytes [N], of the users that a model which knows users
                shall tell; None for another model.

        Raises:
            ExportError: if the sizes of model, popularity and `is_offered` differ, no
                item is offered, or max_k < 1.
            RetrievalError: if the item vectors are not finite.
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
        self._index = _index_of(
            model, tf.gather(item_vectors, rows), tf.constant(rows + 1, tf.int32)
        )
        self.num_items = self._index.num_items
        self.max_length = int(model.max_length)
        self.max_k = min(max_k, self.num_items)
        # The bound method alone: the Keras model itself stays out of the object graph.
        self._user_vectors: Callable[..., tf.Tensor] = model.user_vectors
        self.model_variables = [variable.value for variable in model.variables]
        self.index_variables = self._index.variables
        self._track_popularity(popularity, rows)
        self._track_tables(item_vocab)
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

    def _track_tables(self, item_vocab: Path) -> None:
        whole, number = (
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        path = str(item_vocab)
        self.line_of_item = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.string, whole, tf.int64, number), -1
        )
        self.item_of_line = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.int64, number, tf.string, whole), ""
        )

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

    def answer(
        self, history: tf.Tensor, excluded: tf.Tensor, users: tf.Tensor | None = None
    ) -> Answer:
        """The best max_k items for each history.

        Args:
            history: int32 [B, W] item ids, oldest first, `PAD_ID` anywhere is no item.
            excluded: int32 [B, E] item ids that must not be answered.
            users: rows of known users, int32 [B], -1 for others; None if all are.

        Returns:
            The outputs of the signatures, see `signatures`.
        """
        item_ids = compact_left_padded(history, self.max_length)
        is_fallback = tf.reduce_all(item_ids == spec.PAD_ID, axis=1)
        who = []
        if users is not None:
            is_fallback = tf.logical_and(is_fallback, users < 0)
            who = [users]
        vectors = tf.cast(self._user_vectors(item_ids, *who), tf.float32)
        vectors = tf.where(is_fallback[:, tf.newaxis], 0.0, vectors)
        width = retrieval.candidates_needed(excluded, self.max_k, self.num_items)
        scores, candidates = self._index.top(vectors, width)
        fallback = is_fallback[:, tf.newaxis]
        scores = tf.where(fallback, self.popular_scores[tf.newaxis, :width], scores)
        candidates = tf.where(
            fallback, self.popular_ids[tf.newaxis, :width], candidates
        )
        scores, top_ids = retrieval.drop_excluded(
            scores, candidates, excluded, self.max_k
        )
        return {
            "item_ids": self.to_items(top_ids),
            "scores": scores,
            "user_embedding": vectors,
            "is_fallback": is_fallback,
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The traced signatures by name.

        `serving_default(history)`, `recommend(history, k, exclude)`,
        `recommend_with_history(history, k, exclude)`, `serving_examples(examples)`;
        and `recommend_for_user(user_id, history, k, exclude)` of a model that knows
        users.

        Outputs: `item_ids` string [B, max_k], `scores` float32 [B, max_k],
        `user_embedding` float32 [B, d] (zeros where is_fallback), `is_fallback` bool
        [B]; True means that no item of the history is known and the answer is the
        popular items, scored by their training counts. Entries that are no item are ""
        with the score `NO_SCORE`.
        """
        history = tf.TensorSpec([None, self.max_length], tf.string, name="history")
        k = tf.TensorSpec([None], tf.int32, name="k")
        exclude = tf.TensorSpec([None, None], tf.string, name="exclude")
        examples = tf.TensorSpec([None], tf.string, name="examples")
        signatures = {
            protocol.SERVING_DEFAULT: _trace(self._serving_default, [history]),
            protocol.RECOMMEND: _trace(self._recommend, [history, k, exclude]),
            protocol.RECOMMEND_WITH_HISTORY: _trace(
                self._recommend_with_history, [history, k, exclude]
            ),
            protocol.SERVING_EXAMPLES: _trace(self._serving_examples, [examples]),
        }
        if self.row_of_user is not None:
            user_id = tf.TensorSpec([None], tf.string, name=spec.USER_ID)
            signatures[protocol.RECOMMEND_FOR_USER] = _trace(
                self._recommend_for_user, [user_id, history, k, exclude]
            )
        return signatures

    def _serving_default(self, history: tf.Tensor) -> Answer:
        item_ids = self.to_ids(history)
        return self.answer(item_ids, excluded=item_ids)

    def _recommend(
        self, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        with _same_rows(history, k, exclude):
            item_ids = self.to_ids(history)
            excluded = tf.concat([item_ids, self.to_ids(exclude)], axis=1)
            return _first_k(self.answer(item_ids, excluded), k)

    def _recommend_with_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        with _same_rows(history, k, exclude):
            answer = self.answer(self.to_ids(history), self.to_ids(exclude))
            return _first_k(answer, k)

    def _recommend_for_user(
        self, user_id: tf.Tensor, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        with _same_rows(history, user_id, k, exclude):
            item_ids = self.to_ids(history)
            excluded = tf.concat([item_ids, self.to_ids(exclude)], axis=1)
            users = self.row_of_user.lookup(user_id)
            return _first_k(self.answer(item_ids, excluded, users), k)

    def _serving_examples(self, examples: tf.Tensor) -> Answer:
        features = {spec.SERVING_HISTORY: tf.io.RaggedFeature(tf.string)}
        parsed = tf.io.parse_example(examples, features)
        history = parsed[spec.SERVING_HISTORY].to_tensor(default_value="")
        return self._serving_default(history)


def _index_of(
    model: protocol.Recommender, item_vectors: tf.Tensor, item_ids: tf.Tensor
) -> retrieval.ExactIndex | retrieval.ScoredIndex:
    if model.scores_by_product:
        return retrieval.ExactIndex(item_vectors, item_ids)
    return retrieval.ScoredIndex(item_vectors, item_ids, model.pair_scores)


def _trace(
    function: Callable[..., Answer], signature: list[tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    return tf.function(function, input_signature=signature).get_concrete_function()


def _same_rows(*inputs: tf.Tensor) -> tf.control_dependencies:
    """Fails the call unless every input has as many rows as the first."""
    rows = tf.shape(inputs[0])[0]
    checks = [
        tf.debugging.assert_equal(
            tf.shape(other)[0], rows, "every input must have the same number of rows"
        )
        for other in inputs[1:]
    ]
    return tf.control_dependencies([check for check in checks if check is not None])


def _first_k(answer: Answer, k: tf.Tensor) -> Answer:
    """Blanks the entries past k [B]; k outside 0..max_k acts as the nearer bound."""
    position = tf.range(tf.shape(answer["scores"])[1])[tf.newaxis, :]
    inside = position < k[:, tf.newaxis]
    return {
        **answer,
        "item_ids": tf.where(inside, answer["item_ids"], ""),
        "scores": tf.where(inside, answer["scores"], retrieval.NO_SCORE),
    }

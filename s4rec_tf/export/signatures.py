"""Signatures of the exported model: raw item ids in, raw item ids out.

Alphabet of the shapes as in `module.py`; A is the number of allowed items.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.export import protocol
from s4rec_tf.export.graph import compact_left_padded
from s4rec_tf.export.module import Answer, ServableRecommender, Users
from s4rec_tf.retrieval import exclusions
from s4rec_tf.retrieval.tables import gather

MAX_INTENTS = 10
"""Intents of an answer."""
MAX_EXPLAINED_ROWS = 64
"""Rows of an `explain` request; each costs L + 1 encodings."""


class Signatures:
    """The signatures of a servable.

    | name | inputs |
    | --- | --- |
    | `serving_default` | `history` string [B, L] |
    | `recommend` | `history`, `k` int32 [B], `exclude` string [B, E] |
    | `recommend_with_history` | the same |
    | `recommend_among` | the same, and `allow` string [B, A] |
    | `similar_items` | `item` string [B], `k`, `exclude` |
    | `explain` | `history`, `item` |
    | `serving_examples` | `examples` string [B] |
    | `intents` | `history` |
    | `recommend_for_user` | `user_id` string [B], `history`, `k`, `exclude` |

    The last two exist if the model has intents and user embeddings.

    Outputs: `item_ids` string [B, max_k], `scores` float32 [B, max_k], `is_fallback`
    bool [B]; True means that no item of the request is known and the answer is the
    popular items, scored by their training counts. Entries that are no item are "" with
    the score `NO_SCORE`. `user_embedding` float32 [B, d] (zeros where is_fallback), of
    similar items `item_embedding`; where k is given, `probabilities` float32
    [B, max_k]. For those of `explain` and `intents` see there.
    """

    def __init__(self, servable: ServableRecommender) -> None:
        """Wraps a servable."""
        self._servable = servable

    def traced(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions by name."""
        length = self._servable.max_length
        history = tf.TensorSpec([None, length], tf.string, name="history")
        k = tf.TensorSpec([None], tf.int32, name="k")
        exclude = tf.TensorSpec([None, None], tf.string, name="exclude")
        allow = tf.TensorSpec([None, None], tf.string, name="allow")
        item = tf.TensorSpec([None], tf.string, name="item")
        examples = tf.TensorSpec([None], tf.string, name="examples")
        questions: dict[str, tuple[Callable[..., Answer], list[tf.TensorSpec]]] = {
            protocol.SERVING_DEFAULT: (self.serving_default, [history]),
            protocol.RECOMMEND: (self.recommend, [history, k, exclude]),
            protocol.RECOMMEND_WITH_HISTORY: (
                self.recommend_with_history,
                [history, k, exclude],
            ),
            protocol.RECOMMEND_AMONG: (
                self.recommend_among,
                [history, k, exclude, allow],
            ),
            protocol.SIMILAR_ITEMS: (self.similar_items, [item, k, exclude]),
            protocol.EXPLAIN: (self.explain, [history, item]),
            protocol.SERVING_EXAMPLES: (self.serving_examples, [examples]),
        }
        if self._servable.intents is not None:
            questions[protocol.INTENTS] = (self.intents, [history])
        if self._servable.row_of_user is not None:
            user_id = tf.TensorSpec([None], tf.string, name=spec.USER_ID)
            questions[protocol.RECOMMEND_FOR_USER] = (
                self.recommend_for_user,
                [user_id, history, k, exclude],
            )
        return {
            # No Python branch depends on a tensor: converting the code would be vain,
            # and takes most of the time.
            name: tf.function(
                function, input_signature=inputs, autograph=False
            ).get_concrete_function()
            for name, (function, inputs) in questions.items()
        }

    def serving_default(self, history: tf.Tensor) -> Answer:
        """The best max_k items that are not in the history."""
        item_ids = self._servable.to_ids(history)
        return self._servable.answer(item_ids, excluded=item_ids)

    def recommend(self, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor) -> Answer:
        """The best k items that are neither in the history nor in `exclude`."""
        with _same_rows(history, k, exclude):
            item_ids = self._servable.to_ids(history)
            excluded = tf.concat([item_ids, self._servable.to_ids(exclude)], axis=1)
            return self._first_k(self._servable.answer(item_ids, excluded), k)

    def recommend_for_user(
        self, user_id: tf.Tensor, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        """The answer of `recommend`, by the user's embedding where there is one."""
        with _same_rows(history, user_id, k, exclude):
            item_ids = self._servable.to_ids(history)
            excluded = tf.concat([item_ids, self._servable.to_ids(exclude)], axis=1)
            users = self._servable.row_of_user.lookup(user_id)
            return self._first_k(self._servable.answer(item_ids, excluded, users), k)

    def recommend_with_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        """The best k items that are not in `exclude`."""
        with _same_rows(history, k, exclude):
            to_ids = self._servable.to_ids
            return self._first_k(
                self._servable.answer(to_ids(history), to_ids(exclude)), k
            )

    def recommend_among(
        self, history: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor, allow: tf.Tensor
    ) -> Answer:
        """The best k of the candidates in `allow`; no item if that holds none."""
        with _same_rows(history, k, exclude, allow):
            to_ids = self._servable.to_ids
            item_ids = to_ids(history)
            excluded = tf.concat([item_ids, to_ids(exclude)], axis=1)
            users = self._servable.encode(item_ids)
            scores, top_ids = self._rank_allowed(users, to_ids(allow), excluded)
            return self._first_k(self._servable.named(users, scores, top_ids), k)

    def similar_items(
        self, item: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> Answer:
        """The k items whose vectors have the highest cosine to an item's.

        An item that is never answered (a retired one) counts as unknown here.
        """
        servable = self._servable
        with _same_rows(item, k, exclude):
            item_ids = servable.to_ids(item)
            rows = servable.items.rows_of(item_ids)
            excluded = tf.concat(
                [item_ids[:, tf.newaxis], servable.to_ids(exclude)], axis=1
            )
            width = exclusions.candidates_needed(
                excluded, servable.max_k, servable.num_items
            )
            scores, candidates = servable.items.similar(rows, width)
            is_fallback = rows < 0
            scores, top_ids = servable.popular_instead(
                is_fallback, scores, candidates, excluded
            )
            answer = {
                "item_ids": servable.to_items(top_ids),
                "scores": scores,
                "item_embedding": servable.items.vectors_at(rows),
                "is_fallback": is_fallback,
            }
            return _blank_past(answer, k, ("scores", exclusions.NO_SCORE))

    def explain(self, history: tf.Tensor, item: tf.Tensor) -> Answer:
        """The contribution of each item of the history to an item's score.

        That is the score with the history less the score without that one entry; of
        the only entry, the score itself.

        Returns:
            `item_ids` string [B, L]: the known entries of the history, that of the
            largest effect first, then "". `influences` float32 [B, L] in that order, 0
            after. `score` float32 [B]. `is_fallback` bool [B]: True means that either
            the item or the whole history is unknown, and the rest is 0.
        """
        servable = self._servable
        few = tf.debugging.assert_less_equal(
            tf.shape(history)[0],
            MAX_EXPLAINED_ROWS,
            f"explain takes {MAX_EXPLAINED_ROWS} rows at most",
        )
        with _same_rows(history, item), tf.control_dependencies([few]):
            item_ids = compact_left_padded(
                servable.to_ids(history), servable.max_length
            )
            rows = servable.items.rows_of(servable.to_ids(item))
            target = servable.items.vectors_at(rows)
            users = servable.encode(item_ids)
            score = servable.score(users.vectors, target[:, tf.newaxis])[:, 0]
            # A row after the other: memory then grows with L * L and not with B.
            without = tf.map_fn(
                lambda row: self._scores_without_each(row[0], row[1]),
                (item_ids, target),
                fn_output_signature=tf.TensorSpec([servable.max_length], tf.float32),
            )
            is_fallback = users.is_fallback | (rows < 0)
            is_explained = (item_ids != spec.PAD_ID) & (rows >= 0)[:, tf.newaxis]
            influences = tf.where(is_explained, score[:, tf.newaxis] - without, 0.0)
            order = tf.argsort(
                tf.where(is_explained, -tf.abs(influences), tf.float32.max),
                axis=1,
                stable=True,
            )
            shown = tf.where(is_explained, item_ids, spec.PAD_ID)
            return {
                "item_ids": servable.to_items(tf.gather(shown, order, batch_dims=1)),
                "influences": tf.gather(influences, order, batch_dims=1),
                "score": tf.where(is_fallback, 0.0, score),
                "is_fallback": is_fallback,
            }

    def intents(self, history: tf.Tensor) -> Answer:
        """The intents of the largest shares in a history, and what each one likes.

        Returns:
            `intents` int32 [B, n]: numbers from 0, that of the largest share first;
            `shares` float32 [B, n], of all K intents 1; `item_ids` string [B, n, W]:
            the best items of a user of that intent alone, whatever the history.
            `is_fallback` bool [B]: no item is known; shares are 0, items "".
        """
        servable = self._servable
        item_ids = compact_left_padded(servable.to_ids(history), servable.max_length)
        is_known = tf.reduce_any(item_ids != spec.PAD_ID, axis=1)
        shares = tf.cast(servable.intents.shares(item_ids), tf.float32)
        shares = tf.where(is_known[:, tf.newaxis], shares, 0.0)
        count = min(MAX_INTENTS, servable.intents.item_ids.shape[0])
        shares, intents = tf.math.top_k(shares, k=count)
        liked = servable.to_items(tf.gather(servable.intents.item_ids, intents))
        return {
            "intents": intents,
            "shares": shares,
            "item_ids": tf.where(is_known[:, tf.newaxis, tf.newaxis], liked, ""),
            "is_fallback": ~is_known,
        }

    def serving_examples(self, examples: tf.Tensor) -> Answer:
        """The answer of `serving_default` to serialized tf.Examples of any length."""
        features = {spec.SERVING_HISTORY: tf.io.RaggedFeature(tf.string)}
        parsed = tf.io.parse_example(examples, features)
        history = parsed[spec.SERVING_HISTORY].to_tensor(default_value="")
        return self.serving_default(history)

    def _rank_allowed(
        self, users: Users, allowed: tf.Tensor, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ranks candidates int32 [B, A], as `ServableRecommender.rank` all items."""
        servable = self._servable
        item_ids = exclusions.distinct_sorted(allowed, excluded)
        rows = servable.items.rows_of(item_ids)
        scores = servable.score(users.vectors, servable.items.vectors_at(rows))
        counts = gather(servable.popularity, tf.maximum(rows, 0))
        scores = tf.where(users.is_fallback[:, tf.newaxis], counts, scores)
        scores = tf.where(rows >= 0, scores, exclusions.NO_SCORE)
        missing = tf.maximum(servable.max_k - tf.shape(scores)[1], 0)
        padding = [[0, 0], [0, missing]]
        scores = tf.pad(scores, padding, constant_values=exclusions.NO_SCORE)
        item_ids = tf.pad(
            tf.where(rows >= 0, item_ids, spec.PAD_ID),
            padding,
            constant_values=spec.PAD_ID,
        )
        scores, order = tf.math.top_k(scores, k=servable.max_k)
        return scores, tf.gather(item_ids, order, batch_dims=1)

    def _scores_without_each(self, item_ids: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Scores [L] of an item's vector [d]; that of the history without entry i.

        Without any entry there is no score: 0.
        """
        length = self._servable.max_length
        histories = tf.where(
            tf.eye(length, dtype=tf.bool), spec.PAD_ID, item_ids[tf.newaxis, :]
        )
        users = self._servable.encode(histories)
        scores = self._servable.score(users.vectors, item[tf.newaxis, tf.newaxis])[:, 0]
        return tf.where(users.is_fallback, 0.0, scores)

    def _first_k(self, answer: Answer, k: tf.Tensor) -> Answer:
        probabilities = self._servable.probabilities(
            answer["scores"], answer["is_fallback"]
        )
        return _blank_past(
            {**answer, "probabilities": probabilities},
            k,
            ("scores", exclusions.NO_SCORE),
            ("probabilities", 0.0),
        )


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


def _blank_past(answer: Answer, k: tf.Tensor, *blanks: tuple[str, float]) -> Answer:
    """Blanks the entries past k [B]; k outside 0..max_k acts as the nearer bound."""
    position = tf.range(tf.shape(answer["scores"])[1])[tf.newaxis, :]
    inside = position < k[:, tf.newaxis]
    changed = {
        name: tf.where(inside, answer[name], blank)
        for name, blank in (("item_ids", ""), *blanks)
    }
    return {**answer, **changed}

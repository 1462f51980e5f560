"""Base of models with user embeddings: lookup of users, and the cold start.

A user is found by a digest of the raw id, which lies beside the table among the model's
weights: a checkpoint is complete by itself, in whatever order another split, a refit or
tomorrow's dataset has the users, and holds no raw id.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
from keras import ops

from s4rec_tf import spec
from s4rec_tf.layers import masks
from s4rec_tf.layers.embedding_table import EmbeddingTable
from s4rec_tf.models.base import ModelSettings, SequenceRecommender
from s4rec_tf.models.weighted_terms import Batch

Tensor = Any


class UserRecommender(SequenceRecommender):
    """A model with a vector for every user of the train split.

    `user_vectors` takes `user_index` as well: the row of a known user, -1 for another.

    Args:
        settings: the model's settings.
        num_items: V.
        num_users: N, users of the train split.
    """

    has_user_embeddings: ClassVar[bool] = True
    cold_start_policy: ClassVar[str] = "by the mean of all users' vectors"

    def __init__(
        self, settings: Any, num_items: int, num_users: int, **kwargs: Any
    ) -> None:
        super().__init__(settings, num_items, **kwargs)
        self.num_users = num_users
        self.user_digests = self.add_weight(
            shape=(num_users, 2),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            name="user_digests",
        )
        self.users = EmbeddingTable(num_users, self.user_width, name="users")
        self.users.build()

    @classmethod
    def of_sizes(
        cls, settings: ModelSettings, num_items: int, num_users: int
    ) -> SequenceRecommender:
        """A new model, as the base class has it."""
        return cls(settings, num_items, num_users)

    @property
    def user_width(self) -> int:
        """Width of a user's row."""
        return int(self.settings.dim)

    def register_users(self, user_ids: np.ndarray) -> None:
        """Stores the digests of the train split's users, bytes [N]."""
        self.user_digests.assign(digests(user_ids).view(np.int32).reshape(-1, 2))

    def index_of_users(self, user_ids: np.ndarray) -> np.ndarray:
        """`user_index` of raw ids, int32 [N]; -1 for users that are unknown."""
        return _positions(self._known_digests(), digests(user_ids))

    def _known_digests(self) -> np.ndarray:
        pairs = np.ascontiguousarray(ops.convert_to_numpy(self.user_digests))
        return pairs.view(np.int64)[:, 0]

    def copy_user_embeddings(self, before: SequenceRecommender) -> list[Any]:
        """Copies the embeddings of users that `before`, of the same class, has too.

        Nothing is copied from a table of another width.
        """
        assert isinstance(before, UserRecommender)
        if before.user_width != self.user_width:
            return []
        rows = _positions(before._known_digests(), self._known_digests())
        table = np.array(self.users.table)
        table[rows >= 0] = np.asarray(before.users.table)[rows[rows >= 0]]
        self.users.table.assign(table)
        return [self.user_digests, self.users.table]

    def user_vectors(self, item_ids: Tensor, user_index: Tensor = None) -> Tensor:
        """User vectors, by the users' embeddings where `user_index` is given.

        Args:
            item_ids: int32 [B, L], left-padded.
            user_index: rows of the users, int32 [B], -1 for unknown ones; None if all
                are unknown.
        """
        raise NotImplementedError

    def users_or(self, user_index: Tensor, others: Tensor) -> Tensor:
        """Rows of known users, and `others` [B, d] for the unknown ones."""
        if user_index is None:
            return others
        is_known = ops.greater_equal(user_index, 0)[:, None]
        known = self.users(user_index + 1)
        return ops.where(is_known, known, ops.cast(others, known.dtype))

    def mean_user(self, item_ids: Tensor) -> Tensor:
        """The mean of all users' rows, for every row of [B, L]: [B, d]."""
        mean = ops.mean(self.users.vectors(), axis=0, keepdims=True)
        return ops.repeat(mean, ops.shape(item_ids)[0], axis=0)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "num_users": self.num_users}


def every_action(batch: Batch) -> Tensor:
    """All actions of a batch's rows, for models that see no order.

    The first action of a user is nobody's next item. It is counted where the row ends
    at it, so that every action of an epoch is counted once.

    Args:
        batch: with items [B, L] and targets [B, T].

    Returns:
        the first item and the targets, int32 [B, T + 1]; `PAD_ID` for none.
    """
    item_ids, targets = batch["item_ids"], batch["target_ids"]
    width = item_ids.shape[1]
    lengths = ops.sum(ops.cast(masks.is_real(item_ids), "int32"), axis=1)
    column = ops.minimum(width - lengths, width - 1)
    first = ops.take_along_axis(item_ids, column[:, None], axis=1)
    ends_there = ops.less_equal(lengths, targets.shape[1])[:, None]
    first = ops.where(ends_there, first, spec.PAD_ID)
    return ops.concatenate([first, targets], axis=1)


def digests(user_ids: np.ndarray) -> np.ndarray:
    """64-bit digests of raw ids, bytes [N] -> int64 [N]."""
    found = [hashlib.blake2b(user, digest_size=8).digest() for user in user_ids]
    return np.frombuffer(b"".join(found), "<i8").astype(np.int64)


def _positions(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index in `known` of every element of `wanted`, int32; -1 if it is not there."""
    if not len(known):
        return np.full(len(wanted), -1, np.int32)
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    rows = order[places]
    return np.where(known[rows] == wanted, rows, -1).astype(np.int32)

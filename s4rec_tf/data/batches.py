"""Batches of training samples, made by `keras.ops` on any backend.

All that is random in a batch is a function of its key, so that a resumed run sees what
an uninterrupted one does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from s4rec_tf import spec
from s4rec_tf.backend import random
from s4rec_tf.data.augment import AugmentationNoise, AugmentationSettings, augment
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.correlation import correlated_items
from s4rec_tf.data.samples import Samples, head_flags
from s4rec_tf.data.sequences import Sequences

Tensor = Any
Arrays = dict[str, np.ndarray]
Batch = dict[str, Tensor]


ARRAYS = {
    "values": np.int32,
    "starts": np.int64,
    "ends": np.int64,
    "user_ends": np.int64,
    "users": np.int32,
    "is_head": np.bool_,
}
"""The types of `sample_arrays`, but of correlated items."""

POPULARITY_SCALE = 2**31 - 1


def popularity(item_counts: np.ndarray) -> np.ndarray:
    """The share of actions on each item and those before it, int32 [V].

    Args:
        item_counts: training actions on each item [V].

    Returns:
        rising to `POPULARITY_SCALE`, which stands for 1.
    """
    sums = np.cumsum(item_counts)
    return np.asarray(sums / sums[-1] * POPULARITY_SCALE, np.int32)


def sample_arrays(
    sequences: Sequences, samples: Samples, contents: BatchSpec
) -> Arrays:
    """The arrays that batches are gathered from.

    Args:
        sequences: the train split.
        samples: its samples, N of them.
        contents: of a batch.

    Returns:
        `values` int32 [sum of lengths]; of every sample `starts`, `ends`, `user_ends`
        int64, `users` int32 and `is_head` bool [N]; `correlated` int32 [V + 1, k] if
        needed, of `correlated_items`.
    """
    correlated = {}
    if contents.num_correlated:
        correlated["correlated"] = correlated_items(sequences, contents.num_correlated)
    return {
        **correlated,
        "values": sequences.values,
        "starts": samples.starts,
        "ends": samples.ends,
        "user_ends": sequences.offsets[1:][samples.users],
        "users": samples.users,
        "is_head": head_flags(sequences, samples, contents.head_tail_by),
    }


class BatchMaker:
    """Turns rows of samples into a batch, all rows at once.

    Args:
        contents: of a batch.
        num_targets: T.
        augmentation: how views are made.
        num_items: V.
    """

    def __init__(
        self,
        contents: BatchSpec,
        num_targets: int,
        augmentation: AugmentationSettings,
        num_items: int,
    ) -> None:
        self.contents, self.num_targets = contents, num_targets
        self.augmentation, self.num_items = augmentation, num_items

    def make(self, data: Batch, rows: Tensor, key: Tensor) -> Batch:
        """Makes a batch, as `SequenceRecommender` describes it.

        Args:
            data: `sample_arrays` as tensors of the backend; with `popularity` of all
                items, int32 [V], if the samples are not all.
            rows: indices of samples, whole numbers [B].
            key: of all that is random in the batch, as in `backend.random`.
        """
        of = {name: ops.take(data[name], rows, axis=0) for name in _OF_A_SAMPLE}
        item_ids = self._inputs(data, of["starts"], of["ends"])
        targets = self._inputs(data, of["starts"] + 1, of["ends"] + 1)
        targets = targets[:, -self.num_targets :]
        keys = random.split(key, self.contents.num_views + 1)
        batch = {
            "item_ids": item_ids,
            "target_ids": targets,
            "user_index": of["users"],
            "is_head": of["is_head"],
        }
        if self.contents.future:
            batch["future_ids"] = self._futures(data, of["ends"], of["user_ends"])
        for view in range(1, self.contents.num_views + 1):
            made = self._view(data, item_ids, targets[:, -1:], keys[view])
            batch[f"view_{view}"] = made
        if self.contents.negatives_by_position:
            batch["negative_ids"] = self._other_items(data, item_ids, targets, keys[0])
        elif self.contents.num_negatives:
            shape = (rows.shape[0], self.contents.num_negatives)
            kind = self.contents.negative_sampling
            batch["negative_ids"] = self._draw(data, shape, keys[0], kind)
        return batch

    def _inputs(self, data: Batch, starts: Tensor, ends: Tensor) -> Tensor:
        """The last L items of windows, left-padded."""
        back = ops.arange(self.contents.max_length, 0, -1, dtype=ends.dtype)
        positions = ends[:, None] - back[None, :]
        return _items_at(data, positions, positions >= starts[:, None])

    def _futures(self, data: Batch, starts: Tensor, ends: Tensor) -> Tensor:
        """The items that follow the input, reversed: the next item last."""
        ahead = ops.arange(self.contents.max_length - 1, -1, -1, dtype=ends.dtype)
        positions = starts[:, None] + ahead[None, :]
        return _items_at(data, positions, positions < ends[:, None])

    def _view(
        self, data: Batch, item_ids: Tensor, next_item: Tensor, key: Tensor
    ) -> Tensor:
        shape = tuple(item_ids.shape)
        keys = random.split(key, 4)
        inserted_ids = self._draw(data, shape, keys[3], "popularity")
        if self.contents.num_correlated:
            inserted_ids = self._correlated(data, item_ids, inserted_ids, keys[3])
        # A view must not hold the item that is to be predicted.
        inserted_ids = ops.where(inserted_ids == next_item, item_ids, inserted_ids)
        noise = AugmentationNoise(
            operator=random.uniform(keys[0], shape[:1]),
            position=random.uniform(keys[1], shape[:1]),
            order=random.uniform(keys[2], shape),
            inserted_ids=inserted_ids,
        )
        return ops.reshape(augment(item_ids, noise, self.augmentation), shape)

    def _correlated(
        self, data: Batch, item_ids: Tensor, otherwise: Tensor, key: Tensor
    ) -> Tensor:
        """For every item a correlated one; `otherwise` where there is none."""
        count = self.contents.num_correlated
        choice = random.integers(key, tuple(item_ids.shape), 0, count)
        table = ops.reshape(data["correlated"], (-1,))
        found = ops.take(table, item_ids * count + choice, axis=0)
        return ops.where(found == spec.PAD_ID, otherwise, found)

    def _draw(
        self, data: Batch, shape: tuple[int, ...], key: Tensor, sampling: str
    ) -> Tensor:
        if sampling == "uniform":
            return random.integers(key, shape, 1, self.num_items + 1)
        if "popularity" in data:
            drawn = ops.reshape(random.integers(key, shape, 0, POPULARITY_SCALE), (-1,))
            found = ops.searchsorted(data["popularity"], drawn, side="right")
            return ops.reshape(found + 1, shape)
        values = data["values"]
        actions = random.integers(key, shape, 0, values.shape[0])
        return ops.take(values, actions, axis=0)

    def _other_items(
        self, data: Batch, item_ids: Tensor, targets: Tensor, key: Tensor
    ) -> Tensor:
        """One item a target that the row does not hold; `PAD_ID` if it does."""
        sampling = self.contents.negative_sampling
        drawn = self._draw(data, tuple(targets.shape), key, sampling)
        own = ops.concatenate([item_ids, targets], axis=1)
        is_own = ops.any(drawn[:, :, None] == own[:, None, :], axis=2)
        return ops.where(is_own, spec.PAD_ID, drawn)


_OF_A_SAMPLE = ("starts", "ends", "user_ends", "users", "is_head")


def _items_at(data: Batch, positions: Tensor, is_real: Tensor) -> Tensor:
    items = ops.take(data["values"], ops.where(is_real, positions, 0), axis=0)
    return ops.where(is_real, items, spec.PAD_ID)

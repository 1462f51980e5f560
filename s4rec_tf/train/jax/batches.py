"""Training batches made on the device, inside a compiled step.

What `s4rec_tf.data.batches` does with `tf.data`; everything random is a function of
the key, so that a resumed run sees what an uninterrupted one does.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.augment import AugmentationNoise, AugmentationSettings, augment
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.correlation import correlated_items
from s4rec_tf.data.samples import Samples, UserStream, head_flags
from s4rec_tf.data.sequences import Sequences

Array = Any
Data = dict[str, Array]


def device_data(sequences: Sequences, samples: Samples, needs: BatchSpec) -> Data:
    """What batches are made of, put on the device once.

    Args:
        sequences: the train split.
        samples: its samples, N of them.
        needs: what a batch must hold.

    Returns:
        `values` int32 [sum of lengths]; `starts`, `ends`, `users`, `user_ends` int32
        [N] and `is_head` bool [N] of the samples; `correlated` int32 [M + 1, k] if
        needed, of `correlated_items`.

    Raises:
        ValueError: if the split has more actions than int32 can count.
    """
    if len(sequences.values) > np.iinfo(np.int32).max:
        raise ValueError(
            f"the train split must have less than 2^31 actions. "
            f"Received: {len(sequences.values)}"
        )
    correlated = {}
    if needs.num_correlated:
        table = correlated_items(sequences, needs.num_correlated)
        correlated["correlated"] = jnp.asarray(table)
    user_ends = sequences.offsets[1:][samples.users]
    return {
        **correlated,
        "user_ends": jnp.asarray(user_ends, jnp.int32),
        "values": jnp.asarray(sequences.values, jnp.int32),
        "starts": jnp.asarray(samples.starts, jnp.int32),
        "ends": jnp.asarray(samples.ends, jnp.int32),
        "users": jnp.asarray(samples.users, jnp.int32),
        "is_head": jnp.asarray(head_flags(sequences, samples, needs.head_tail_by)),
    }


class BatchMaker:
    """Turns rows of samples into a batch, all rows at once.

    Args:
        needs: what a batch must hold.
        num_targets: T.
        augmentation: how views are made.
        num_items: V.
    """

    def __init__(
        self,
        needs: BatchSpec,
        num_targets: int,
        augmentation: AugmentationSettings,
        num_items: int,
    ) -> None:
        self.needs, self.num_targets = needs, num_targets
        self.augmentation, self.num_items = augmentation, num_items

    def make(self, data: Data, rows: Array, key: Array) -> dict[str, Array]:
        """A batch, as `SequenceRecommender` describes it.

        Args:
            data: from `device_data`.
            rows: indices of samples, int32 [B].
            key: of all that is random in the batch.
        """
        starts, ends = data["starts"][rows], data["ends"][rows]
        item_ids = self._windows(data, starts, ends)
        targets = self._windows(data, starts + 1, ends + 1)[:, -self.num_targets :]
        keys = jax.random.split(key, self.needs.num_views + 1)
        batch = {
            "item_ids": item_ids,
            "target_ids": targets,
            "user_index": data["users"][rows],
            "is_head": data["is_head"][rows],
        }
        if self.needs.future:
            batch["future_ids"] = self._futures(data, ends, data["user_ends"][rows])
        for view in range(1, self.needs.num_views + 1):
            made = self._view(data, item_ids, targets[:, -1:], keys[view])
            batch[f"view_{view}"] = made
        if self.needs.negatives_by_position:
            batch["negative_ids"] = self._other_items(data, item_ids, targets, keys[0])
        elif self.needs.num_negatives:
            shape = (len(rows), self.needs.num_negatives)
            kind = self.needs.negative_sampling
            batch["negative_ids"] = self._draw(data, shape, keys[0], kind)
        return batch

    def _windows(self, data: Data, starts: Array, ends: Array) -> Array:
        positions = ends[:, None] - jnp.arange(self.needs.max_length, 0, -1)[None, :]
        is_real = positions >= starts[:, None]
        items = data["values"][jnp.where(is_real, positions, 0)]
        return jnp.where(is_real, items, spec.PAD_ID)

    def _futures(self, data: Data, starts: Array, ends: Array) -> Array:
        """What follows the input, reversed: the next item last."""
        positions = starts[:, None] + jnp.arange(self.needs.max_length - 1, -1, -1)
        is_real = positions < ends[:, None]
        items = data["values"][jnp.where(is_real, positions, 0)]
        return jnp.where(is_real, items, spec.PAD_ID)

    def _view(self, data: Data, item_ids: Array, next_item: Array, key: Array) -> Array:
        keys = jax.random.split(key, 4)
        inserted_ids = self._draw(data, item_ids.shape, keys[3], "popularity")
        if self.needs.num_correlated:
            choice = jax.random.randint(
                keys[3], item_ids.shape, 0, self.needs.num_correlated
            )
            found = data["correlated"][item_ids, choice]
            inserted_ids = jnp.where(found == spec.PAD_ID, inserted_ids, found)
        # A view must not tell what is to be predicted.
        inserted_ids = jnp.where(inserted_ids == next_item, item_ids, inserted_ids)
        noise = AugmentationNoise(
            operator=jax.random.uniform(keys[0], item_ids.shape[:1]),
            position=jax.random.uniform(keys[1], item_ids.shape[:1]),
            order=jax.random.uniform(keys[2], item_ids.shape),
            inserted_ids=inserted_ids,
        )
        return augment(item_ids, noise, self.augmentation)

    def _draw(
        self, data: Data, shape: tuple[int, ...], key: Array, sampling: str
    ) -> Array:
        if sampling == "uniform":
            return jax.random.randint(key, shape, 1, self.num_items + 1, jnp.int32)
        values = data["values"]
        return values[jax.random.randint(key, shape, 0, len(values), jnp.int32)]

    def _other_items(
        self, data: Data, item_ids: Array, targets: Array, key: Array
    ) -> Array:
        """One item a target that the row does not hold; `PAD_ID` if it does."""
        drawn = self._draw(data, targets.shape, key, self.needs.negative_sampling)
        own = jnp.concatenate([item_ids, targets], axis=1)
        is_own = jnp.any(drawn[:, :, None] == own[:, None, :], axis=2)
        return jnp.where(is_own, spec.PAD_ID, drawn)


class UserBatches:
    """Batches of users beside every n-th batch of samples.

    Args:
        stream: which users, and how often.
        needs: what a batch of users must hold.
        augmentation: how views are made.
        num_items: V.
    """

    def __init__(
        self,
        stream: UserStream,
        needs: BatchSpec,
        augmentation: AugmentationSettings,
        num_items: int,
    ) -> None:
        self.stream = stream
        self.maker = BatchMaker(needs, 1, augmentation, num_items)
        self._shuffle = jax.jit(
            lambda key: jax.random.permutation(key, len(stream.samples))
        )

    def order(self, key: Array) -> Array:
        """An epoch's order of the users, int32 [U]."""
        return self._shuffle(key)

    def stand_beside(self, number: Array) -> Array:
        """Whether a step of an epoch has a batch of users, bool scalar."""
        return number % self.stream.every == 0

    def make(
        self, data: Data, order: Array, number: Array, key: Array
    ) -> dict[str, Array]:
        """A step's batch of users.

        Args:
            data: from `device_data`, of the users' samples.
            order: from `order`.
            number: of the step in the epoch.
            key: of all that is random in the batch.
        """
        return self.maker.make(data, order[self.stream.places(number)], key)

"""The training pipeline: samples -> shuffled batches; the home of order and seeds.

Everything random in a batch is a function of (seed, epoch, step), drawn for the global
batch: a resumed run sees what an uninterrupted one does, and so do two replicas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data.augment import AugmentationNoise, AugmentationSettings, augment
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.correlation import correlated_items
from s4rec_tf.data.samples import Samples, UserStream, head_flags
from s4rec_tf.data.sequences import Sequences

_STEPS_AN_EPOCH = 1 << 24

_Batch = dict[str, Any]


def training_batches(
    sequences: Sequences,
    samples: Samples,
    needs: BatchSpec,
    augmentation: AugmentationSettings,
    num_items: int,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Endless batches, epoch after epoch, each epoch a new random order.

    Args:
        sequences: the train split.
        samples: its samples.
        needs: what a batch must hold.
        augmentation: how views are made.
        num_items: V.
        batch_size: B, the global batch; what does not fill the last batch of an epoch
            is left out of that epoch.
        seed: of everything random.
        first_epoch: where to begin.

    Returns:
        dataset of dictionaries as `SequenceRecommender` describes them.
    """
    maker = _BatchMaker(sequences, samples, needs, augmentation, num_items, seed)
    steps = len(samples) // batch_size
    users = None
    if needs.users:
        stream = UserStream.beside(
            len(samples), batch_size, sequences, needs.max_length
        )
        users = _UserBatches(stream, steps, seed)
        of_users = _BatchMaker(
            sequences, stream.samples, needs.users, augmentation, num_items, seed
        )
        of_users.values = maker.values  # one copy of the split in memory

    def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(samples)), seed=tf.stack([seed, tf.cast(epoch, tf.int32)])
        )
        rows = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        numbers = epoch * _STEPS_AN_EPOCH + tf.range(steps, dtype=tf.int64)
        columns = (rows, numbers, users.rows(epoch)) if users else (rows, numbers)
        return tf.data.Dataset.from_tensor_slices(columns)

    def make(rows: tf.Tensor, number: tf.Tensor, *user_rows: tf.Tensor) -> _Batch:
        batch: _Batch = maker.make(rows, number)
        for chosen in user_rows:
            # Numbers below 0 are no batch of samples'.
            batch["users"] = of_users.make_if_any(chosen, -1 - number)
        return batch

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int32).max)
    batches = epochs.flat_map(epoch_rows).map(
        make, num_parallel_calls=2, deterministic=True
    )
    return batches.prefetch(4)


class _UserBatches:
    """Which users stand beside every batch of samples."""

    def __init__(self, stream: UserStream, steps: int, seed: int) -> None:
        self.num_users, self.seed = len(stream.samples), seed
        numbers = np.arange(steps)
        self.places = tf.constant(stream.places(numbers), tf.int32)
        self.has_users = tf.constant(numbers % stream.every == 0)

    def rows(self, epoch: tf.Tensor) -> tf.Tensor:
        """Rows of the users' samples for every step, [steps, B]; -1 for none."""
        # The order of the samples has the epochs from 0 on.
        number = -1 - tf.cast(epoch, tf.int32)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(self.num_users), seed=tf.stack([self.seed, number])
        )
        return tf.where(self.has_users[:, None], tf.gather(order, self.places), -1)


class _BatchMaker:
    """Turns rows of samples into a batch, all rows at once."""

    def __init__(
        self,
        sequences: Sequences,
        samples: Samples,
        needs: BatchSpec,
        augmentation: AugmentationSettings,
        num_items: int,
        seed: int,
    ) -> None:
        self.values = tf.constant(sequences.values)
        self.is_head = tf.constant(head_flags(sequences, samples, needs.head_tail_by))
        self.starts = tf.constant(samples.starts)
        self.ends = tf.constant(samples.ends)
        self.users = tf.constant(samples.users)
        self.user_ends = tf.constant(sequences.offsets[1:])
        if needs.num_correlated:
            table = correlated_items(sequences, needs.num_correlated)
            self.correlated = tf.constant(table)
        self.num_targets = samples.num_targets
        self.needs, self.augmentation = needs, augmentation
        self.num_items, self.seed = num_items, seed

    def make(self, rows: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """A batch.

        Args:
            rows: indices of samples [B].
            number: of the batch among all of the run; seeds what is random in it.
        """
        starts, ends = tf.gather(self.starts, rows), tf.gather(self.ends, rows)
        users = tf.gather(self.users, rows)
        item_ids = self._windows(starts, ends)
        targets = self._windows(starts + 1, ends + 1)[:, -self.num_targets :]
        seeds = self._seeds(number)
        batch = {
            "item_ids": item_ids,
            "target_ids": targets,
            "user_index": users,
            "is_head": tf.gather(self.is_head, rows),
        }
        if self.needs.future:
            batch["future_ids"] = self._futures(ends, tf.gather(self.user_ends, users))
        for view in range(1, self.needs.num_views + 1):
            batch[f"view_{view}"] = self._view(item_ids, targets[:, -1:], seeds[view])
        if self.needs.negatives_by_position:
            batch["negative_ids"] = self._other_items(item_ids, targets, seeds[0])
        elif self.needs.num_negatives:
            shape = (tf.shape(rows)[0], self.needs.num_negatives)
            batch["negative_ids"] = self._draw(shape, seeds[0])
        return batch

    def make_if_any(self, rows: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """A batch, or one of rows without an item where all `rows` are -1."""

        def nothing() -> dict[str, tf.Tensor]:
            padding = tf.zeros((rows.shape[0], self.needs.max_length), tf.int32)
            views = {f"view_{n + 1}": padding for n in range(self.needs.num_views)}
            return {
                "item_ids": padding,
                "target_ids": padding[:, : self.num_targets],
                "user_index": padding[:, 0],
                "is_head": tf.zeros(rows.shape, tf.bool),
                **views,
            }

        return tf.cond(rows[0] >= 0, lambda: self.make(rows, number), nothing)

    def _seeds(self, number: tf.Tensor) -> list[tf.Tensor]:
        base = tf.stack([tf.constant(self.seed, tf.int64), number])
        parts = self.needs.num_views + 1
        return tf.unstack(tf.random.experimental.stateless_split(base, num=parts))

    def _windows(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        length = self.needs.max_length
        positions = ends[:, None] - tf.range(length, 0, -1, dtype=tf.int64)[None, :]
        is_real = positions >= starts[:, None]
        items = tf.gather(self.values, tf.where(is_real, positions, 0))
        return tf.where(is_real, items, spec.PAD_ID)

    def _futures(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        """What follows the input, reversed: the next item last."""
        length = self.needs.max_length
        positions = starts[:, None] + tf.range(length - 1, -1, -1, dtype=tf.int64)
        is_real = positions < ends[:, None]
        items = tf.gather(self.values, tf.where(is_real, positions, 0))
        return tf.where(is_real, items, spec.PAD_ID)

    def _view(
        self, item_ids: tf.Tensor, next_item: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        shape = tf.shape(item_ids)
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, num=4))
        inserted_ids = self._draw(shape, seeds[3], sampling="popularity")
        if self.needs.num_correlated:
            inserted_ids = self._correlated(item_ids, inserted_ids, seeds[3])
        # A view must not tell what is to be predicted.
        inserted_ids = tf.where(inserted_ids == next_item, item_ids, inserted_ids)
        noise = AugmentationNoise(
            operator=tf.random.stateless_uniform(shape[:1], seeds[0]),
            position=tf.random.stateless_uniform(shape[:1], seeds[1]),
            order=tf.random.stateless_uniform(shape, seeds[2]),
            inserted_ids=inserted_ids,
        )
        view = augment(item_ids, noise, self.augmentation)
        return tf.ensure_shape(view, item_ids.shape)

    def _correlated(
        self, item_ids: tf.Tensor, otherwise: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """For every item one that goes with it; `otherwise` where none does."""
        choice = tf.random.stateless_uniform(
            tf.shape(item_ids), seed, 0, self.needs.num_correlated, dtype=tf.int32
        )
        found = tf.gather_nd(self.correlated, tf.stack([item_ids, choice], axis=-1))
        return tf.where(found == spec.PAD_ID, otherwise, found)

    def _draw(
        self, shape: tf.Tensor, seed: tf.Tensor, sampling: str | None = None
    ) -> tf.Tensor:
        if (sampling or self.needs.negative_sampling) == "uniform":
            return tf.random.stateless_uniform(
                shape, seed, 1, self.num_items + 1, dtype=tf.int32
            )
        actions = tf.random.stateless_uniform(
            shape, seed, 0, tf.size(self.values), dtype=tf.int32
        )
        return tf.gather(self.values, actions)

    def _other_items(
        self, item_ids: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """One item a target that the row does not hold; `PAD_ID` if it does."""
        drawn = self._draw(tf.shape(targets), seed)
        own = tf.concat([item_ids, targets], axis=1)
        is_own = tf.reduce_any(drawn[:, :, None] == own[:, None, :], axis=2)
        return tf.where(is_own, spec.PAD_ID, drawn)

"""The training pipeline on TensorFlow: samples -> shuffled batches.

Everything random is a function of (seed, epoch, step), drawn for the global batch: a
resumed run sees what an uninterrupted one does, and so do two replicas.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf.data.augment import AugmentationSettings
from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.data.batches import ARRAYS, BatchMaker, popularity, sample_arrays
from s4rec_tf.data.samples import Samples, UserStream
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.data.streamed import Share, StreamedSamples

_STEPS_AN_EPOCH = 1 << 24

_Batch = dict[str, Any]


def training_batches(
    sequences: Sequences,
    samples: Samples,
    contents: BatchSpec,
    augmentation: AugmentationSettings,
    num_items: int,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches, epoch after epoch, each epoch a new random order.

    Args:
        sequences: the train split.
        samples: its samples.
        contents: of a batch.
        augmentation: how views are made.
        num_items: V.
        batch_size: B, the global batch; what does not fill the last batch of an epoch
            is left out of that epoch.
        seed: of everything random.
        first_epoch: where to begin.
        first_step: where to begin in that epoch.

    Returns:
        dataset of dictionaries as `SequenceRecommender` describes them.
    """
    maker = BatchMaker(contents, samples.num_targets, augmentation, num_items)
    data = _tensors(sequences, samples, contents)
    steps = len(samples) // batch_size
    users = None
    if contents.users:
        stream = UserStream.beside(
            len(samples), batch_size, sequences, contents.max_length
        )
        users = _UserRows(stream, steps, seed)
        user_maker = BatchMaker(contents.users, 1, augmentation, num_items)
        # One copy of the split in memory.
        user_data = _tensors(sequences, stream.samples, contents.users)
        user_data["values"] = data["values"]

    def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
        order = _order(len(samples), seed, tf.cast(epoch, tf.int32))
        rows = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        numbers = epoch * _STEPS_AN_EPOCH + tf.range(steps, dtype=tf.int64)
        columns = (rows, numbers, users.rows(epoch)) if users else (rows, numbers)
        done = tf.where(epoch == first_epoch, first_step, 0)
        return tf.data.Dataset.from_tensor_slices(columns).skip(tf.cast(done, tf.int64))

    def make(rows: tf.Tensor, number: tf.Tensor, *user_rows: tf.Tensor) -> _Batch:
        batch = maker.make(data, rows, tf.stack([np.int64(seed), number]))
        for chosen in user_rows:
            # Batches of samples have the numbers from 0 on.
            key = tf.stack([np.int64(seed), -1 - number])
            batch["users"] = _make_if_any(user_maker, user_data, chosen, key)
        return batch

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int32).max)
    batches = epochs.flat_map(epoch_rows).map(
        make, num_parallel_calls=2, deterministic=True
    )
    return batches.prefetch(4)


def streamed_batches(
    samples: StreamedSamples,
    contents: BatchSpec,
    augmentation: AugmentationSettings,
    num_items: int,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches as of `training_batches`, from a split that stays on disk.

    Args:
        samples: of the split.
        contents: of a batch.
        augmentation: how views are made.
        num_items: V.
        batch_size: B, the global batch.
        seed: of everything random.
        first_epoch: where to begin; an epoch is read from its beginning in any case.
        first_step: where to begin in that epoch.
        context: of a worker, whose replicas' parts of the batches are its own samples;
            None for whole batches.

    Raises:
        ValueError: if a batch holds what takes the whole split.
    """
    check_streamed(contents)
    context = context or tf.distribute.InputContext()
    replicas, workers = context.num_replicas_in_sync, context.num_input_pipelines
    share = Share(context.input_pipeline_id, workers)
    size, steps = batch_size // replicas, len(samples) // batch_size
    maker = BatchMaker(contents, samples.num_targets, augmentation, num_items)
    constants = {"popularity": tf.constant(popularity(samples.item_counts))}

    def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
        for epoch in itertools.count(first_epoch):
            numbers = _numbers(epoch, steps, share, replicas)
            done = first_step * replicas // workers if epoch == first_epoch else 0
            for data, rows in samples.epoch(epoch, seed, contents, size, share):
                rows, own = rows[: len(numbers)], numbers[: len(rows)]
                yield data, rows[done:], own[done:]
                numbers, done = numbers[len(rows) :], max(done - len(rows), 0)

    def batches_of(data: _Batch, rows: tf.Tensor, numbers: tf.Tensor) -> Any:
        of_rows = tf.data.Dataset.from_tensor_slices((rows, numbers))
        return tf.data.Dataset.zip(
            (tf.data.Dataset.from_tensors(data).repeat(), of_rows)
        )

    def make(data: _Batch, chosen: tuple[tf.Tensor, tf.Tensor]) -> _Batch:
        rows, number = chosen
        return maker.make(data | constants, rows, tf.stack([np.int64(seed), number]))

    buffers = tf.data.Dataset.from_generator(
        generate,
        output_signature=(
            {name: tf.TensorSpec([None], kind) for name, kind in ARRAYS.items()},
            tf.TensorSpec([None, size], tf.int64),
            tf.TensorSpec([None], tf.int64),
        ),
    )
    batches = buffers.prefetch(1).flat_map(batches_of)
    return batches.map(make, num_parallel_calls=2, deterministic=True).prefetch(4)


def _numbers(epoch: int, steps: int, share: Share, replicas: int) -> np.ndarray:
    """Numbers of an epoch's batches, those of a worker's replicas, in order."""
    first, last = share.of(replicas)
    of_steps = (epoch * _STEPS_AN_EPOCH + np.arange(steps)) * replicas
    return (of_steps[:, None] + np.arange(first, last)).ravel()


def check_streamed(contents: BatchSpec) -> None:
    """Checks that batches can be made of a part of the split.

    Raises:
        ValueError: naming the setting to be changed.
    """
    for name, value, way_out in (
        ("num_correlated", contents.num_correlated, "another model than coserec"),
        ("auxiliary_rows", contents.users and "users", "auxiliary_rows=samples"),
    ):
        if value:
            raise ValueError(
                f"`{name}` must not need the whole train split with --data streaming. "
                f"Received: {value}. Choose {way_out}, or --data memory"
            )


def _tensors(sequences: Sequences, samples: Samples, contents: BatchSpec) -> _Batch:
    arrays = sample_arrays(sequences, samples, contents)
    return {name: tf.constant(array) for name, array in arrays.items()}


def _order(count: int, seed: int, number: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(
        tf.range(count), seed=tf.stack([seed, number])
    )


def _make_if_any(
    maker: BatchMaker, data: _Batch, rows: tf.Tensor, key: tf.Tensor
) -> _Batch:
    """A batch, or one of rows without an item where all `rows` are -1."""

    def nothing() -> _Batch:
        padding = tf.zeros((rows.shape[0], maker.contents.max_length), tf.int32)
        views = {f"view_{n + 1}": padding for n in range(maker.contents.num_views)}
        return {
            "item_ids": padding,
            "target_ids": padding[:, : maker.num_targets],
            "user_index": padding[:, 0],
            "is_head": tf.zeros(rows.shape, tf.bool),
            **views,
        }

    return tf.cond(rows[0] >= 0, lambda: maker.make(data, rows, key), nothing)


class _UserRows:
    """The batches of users beside the batches of samples."""

    def __init__(self, stream: UserStream, steps: int, seed: int) -> None:
        self.num_users, self.seed = len(stream.samples), seed
        numbers = np.arange(steps)
        self.places = tf.constant(stream.places(numbers), tf.int32)
        self.has_users = tf.constant(numbers % stream.every == 0)

    def rows(self, epoch: tf.Tensor) -> tf.Tensor:
        """Rows of the users' samples for every step, [steps, B]; -1 for none."""
        # The order of the samples has the epochs from 0 on.
        order = _order(self.num_users, self.seed, -1 - tf.cast(epoch, tf.int32))
        return tf.where(self.has_users[:, None], tf.gather(order, self.places), -1)

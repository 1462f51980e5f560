"""Actions per item and users of the splits, as an export needs them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from s4rec_tf import spec


def training_counts(dataset: spec.DatasetDir) -> np.ndarray:
    """Number of actions on each item in the training part.

    Returns:
        int64 [V]; element i counts item id i + 1.

    Raises:
        DatasetError: if the split has no shard or holds an id outside 1..V.
    """
    num_items = dataset.info().num_items
    counts = np.zeros(num_items + 1, np.int64)
    paths = [str(path) for path in dataset.shards("train")]
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(1024)
    features = {spec.ITEM_IDS: tf.io.RaggedFeature(tf.int64)}
    for batch in records:
        item_ids = tf.io.parse_example(batch, features)[spec.ITEM_IDS].values.numpy()
        if item_ids.size and not 1 <= item_ids.min() <= item_ids.max() <= num_items:
            raise spec.DatasetError(
                f"{dataset.root}/train: item ids must be in 1..{num_items}. "
                f"Received: {item_ids.min()}..{item_ids.max()}"
            )
        counts += np.bincount(item_ids, minlength=num_items + 1)
    return counts[1:]


def all_counts(dataset: spec.DatasetDir) -> np.ndarray:
    """Number of actions on each item in all splits, as `training_counts`."""
    return np.loadtxt(dataset.item_counts, np.int64, ndmin=1)


def training_users(dataset: spec.DatasetDir) -> np.ndarray:
    """Raw ids of the training part's users, bytes [N], in the order of the shards."""
    paths = [str(path) for path in dataset.shards("train")]
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(1024)
    features = {spec.USER_ID: tf.io.FixedLenFeature([], tf.string)}
    parts = [
        tf.io.parse_example(batch, features)[spec.USER_ID].numpy() for batch in records
    ]
    return np.concatenate(parts)

"""Reads the TFRecords of a dataset folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences

_EXAMPLES_A_PARSE = 1024


def read_split(dataset: spec.DatasetDir, split: str) -> Sequences:
    """Reads a whole split, users in order of user id as bytes.

    Raises:
        spec.DatasetError: if the folder is unfinished, a shard is damaged, an item id
            is outside the vocabulary, or the number of examples is not the manifest's.
    """
    info = dataset.info()
    paths = [str(path) for path in dataset.shards(split)]
    examples = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    parsed = examples.batch(_EXAMPLES_A_PARSE).map(_parse_examples(split))
    try:
        batches = list(parsed.as_numpy_iterator())
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise spec.DatasetError(
            f"a shard of {dataset.root / split} is damaged: {error.message}"
        ) from error
    sequences = _join(batches)
    if len(sequences) != info.split_examples[split]:
        raise spec.DatasetError(
            f"{dataset.root / split} must hold {info.split_examples[split]} examples. "
            f"Received: {len(sequences)}"
        )
    _check_item_ids(sequences, info.num_items, dataset, split)
    return sequences


def _parse_examples(split: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    features = {
        spec.USER_ID: tf.io.FixedLenFeature([], tf.string),
        spec.ITEM_IDS: tf.io.RaggedFeature(tf.int64),
        spec.IS_HEAD: tf.io.FixedLenFeature([], tf.int64),
        spec.SEQUENCE_LENGTH: tf.io.FixedLenFeature([], tf.int64),
    }
    if split != "train":
        features[spec.TARGET_ID] = tf.io.FixedLenFeature([], tf.int64)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, features)
        items = parsed.pop(spec.ITEM_IDS)
        parsed["values"], parsed["lengths"] = items.values, items.row_lengths()
        parsed.setdefault(spec.TARGET_ID, tf.zeros_like(parsed["lengths"]))
        return parsed

    return parse


def _join(batches: list[dict[str, np.ndarray]]) -> Sequences:
    def column(name: str, dtype: type) -> np.ndarray:
        parts = [batch[name] for batch in batches]
        return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)

    user_ids = column(spec.USER_ID, object)
    lengths = column("lengths", np.int64)
    order = np.argsort(user_ids, kind="stable")
    starts = np.cumsum(lengths) - lengths
    ordered_lengths = lengths[order]
    offsets = np.concatenate([[0], np.cumsum(ordered_lengths)])
    moves = np.repeat(starts[order] - offsets[:-1], ordered_lengths)
    values = column("values", np.int32)
    return Sequences(
        user_ids=user_ids[order],
        values=values[np.arange(len(values)) + moves],
        offsets=offsets,
        target_ids=column(spec.TARGET_ID, np.int32)[order],
        is_head=column(spec.IS_HEAD, np.int64)[order] == 1,
        sequence_lengths=column(spec.SEQUENCE_LENGTH, np.int32)[order],
    )


def _check_item_ids(
    sequences: Sequences, num_items: int, dataset: spec.DatasetDir, split: str
) -> None:
    lowest_target = spec.PAD_ID if split == "train" else 1
    for name, ids, lowest in (
        (spec.ITEM_IDS, sequences.values, 1),
        (spec.TARGET_ID, sequences.target_ids, lowest_target),
    ):
        wrong = ids[(ids < lowest) | (ids > num_items)]
        if len(wrong):
            raise spec.DatasetError(
                f"`{name}` in {dataset.root / split} must lie in "
                f"[{lowest}, {num_items}]. Received: {wrong[0]}"
            )

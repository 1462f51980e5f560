"""Reads the TFRecords of a dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences

_EXAMPLES_A_PARSE = 1024
_UNREADABLE = (tf.errors.DataLossError, tf.errors.InvalidArgumentError)

Batch = dict[str, np.ndarray]


def verify(dataset: spec.DatasetDir) -> dict[str, Any]:
    """`DatasetDir.verify`, which for a damaged shard also names the record.

    Raises:
        spec.DatasetError: as there.
    """
    try:
        return dataset.verify()
    except spec.DamagedFile as error:
        split = error.path.parent.name
        if split not in spec.SPLITS:
            raise
        raise spec.DatasetError(
            f"{error}; {_what_can_be_read(error.path, split)}"
        ) from (error)


def _what_can_be_read(path: Path, split: str) -> str:
    number = 0
    try:
        for _ in _parsed(path, _parse_examples(split), 1):
            number += 1
    except _UNREADABLE as error:
        return f"record {number} (from 0) cannot be read: {error.message}"
    return f"all its {number} records can be read, but are not those that were written"


def read_split(dataset: spec.DatasetDir, split: str) -> Sequences:
    """Reads a whole split, users in order of user id as bytes.

    Args:
        dataset: a finished dataset folder.
        split: train, valid or test.

    Returns:
        the sequences of N users.

    Raises:
        spec.DatasetError: naming the shard, and the record from 0, if the folder is
            unfinished, a shard is damaged, an item id is outside the vocabulary, or the
            number of examples is not the manifest's.
    """
    info = dataset.info()
    files = dataset.read_manifest()["files"]
    parse = tf.function(_parse_examples(split), reduce_retracing=True)
    batches: list[Batch] = []
    for path in dataset.shards(split):
        entry = files.get(f"{split}/{path.name}")
        if entry is None:
            raise spec.DatasetError(f"{path} is not in {dataset.manifest}")
        shard = _read_shard(path, split, parse, info.num_items)
        _check_count(path, sum(map(_num_rows, shard)), entry.get("examples"))
        batches += shard
    sequences = _join(batches)
    _check_count(dataset.root / split, len(sequences), info.split_examples[split])
    return sequences


def _read_shard(
    path: Path, split: str, parse: Callable[[tf.Tensor], Batch], num_items: int
) -> list[Batch]:
    batches: list[Batch] = []
    number = 0
    try:
        for batch in _parsed(path, parse, _EXAMPLES_A_PARSE):
            _check_item_ids(batch, num_items, path, number, split)
            batches.append(batch)
            number += _num_rows(batch)
    except _UNREADABLE as error:
        readable = _what_can_be_read(path, split)
        raise spec.DatasetError(f"{path} is damaged: {readable}") from error
    return batches


def _parsed(
    path: Path, parse: Callable[[tf.Tensor], Any], num_examples: int
) -> Iterator[Batch]:
    examples = tf.data.TFRecordDataset([str(path)], compression_type="GZIP")
    for serialized in examples.batch(num_examples):
        yield {name: value.numpy() for name, value in parse(serialized).items()}


def _num_rows(batch: Batch) -> int:
    return len(batch["lengths"])


def _check_count(path: Path, received: int, expected: int | None) -> None:
    """The number of records; a shard without one in the manifest is not checked."""
    if expected is not None and received != expected:
        raise spec.DatasetError(
            f"{path} must hold {expected} examples. Received: {received}"
        )


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
    batch: Batch, num_items: int, path: Path, first_record: int, split: str
) -> None:
    rows = np.arange(_num_rows(batch))
    lowest_target = spec.PAD_ID if split == "train" else 1
    for name, ids, owners, lowest in (
        (spec.ITEM_IDS, batch["values"], np.repeat(rows, batch["lengths"]), 1),
        (spec.TARGET_ID, batch[spec.TARGET_ID], rows, lowest_target),
    ):
        (wrong,) = np.nonzero((ids < lowest) | (ids > num_items))
        if len(wrong):
            raise spec.DatasetError(
                f"`{name}` of record {first_record + owners[wrong[0]]} (from 0) in "
                f"{path} must lie in [{lowest}, {num_items}]. Received: {ids[wrong[0]]}"
            )

"""Reads the TFRecords of a dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
        spec.DatasetError: as `read_pieces`, or if the number of examples is not the
            manifest's.
    """
    pieces = read_pieces(dataset, split, dataset.shards(split))
    sequences = Sequences.joined([piece for _, piece in pieces])
    expected = dataset.info().split_examples[split]
    _check_count(dataset.root / split, len(sequences), expected)
    return sequences.take(np.argsort(sequences.user_ids, kind="stable"))


def read_pieces(
    dataset: spec.DatasetDir, split: str, paths: Iterable[Path]
) -> Iterator[tuple[Path, Sequences]]:
    """Reads shards piece by piece, so that no shard need fit into memory.

    Args:
        dataset: a finished dataset folder.
        split: train, valid or test.
        paths: shards of the split.

    Yields:
        the shard, and the sequences of its next users, in the order of the file.

    Raises:
        spec.DatasetError: naming the shard, and the record from 0, if the folder is
            unfinished, a shard is damaged or holds another number of examples than the
            manifest has, or an item id is outside the vocabulary.
    """
    num_items = dataset.info().num_items
    files = dataset.read_manifest()["files"]
    for path in paths:
        entry = files.get(f"{split}/{path.name}")
        if entry is None:
            raise spec.DatasetError(f"{path} is not in {dataset.manifest}")
        number = 0
        for batch in _read_shard(path, split, num_items):
            number += _num_rows(batch)
            yield path, _sequences(batch)
        _check_count(path, number, entry.get("examples"))


def _read_shard(path: Path, split: str, num_items: int) -> Iterator[Batch]:
    number = 0
    try:
        for batch in _parsed(path, _parse_examples(split), _EXAMPLES_A_PARSE):
            _check_item_ids(batch, num_items, path, number, split)
            yield batch
            number += _num_rows(batch)
    except _UNREADABLE as error:
        readable = _what_can_be_read(path, split)
        raise spec.DatasetError(f"{path} is damaged: {readable}") from error


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


def _sequences(batch: Batch) -> Sequences:
    return Sequences(
        user_ids=batch[spec.USER_ID],
        values=batch["values"].astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(batch["lengths"])]),
        target_ids=batch[spec.TARGET_ID].astype(np.int32),
        is_head=batch[spec.IS_HEAD] == 1,
        sequence_lengths=batch[spec.SEQUENCE_LENGTH].astype(np.int32),
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

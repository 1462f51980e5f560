"""Tiny datasets with a known answer, for tests and trials."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences


def markov_sequences(
    num_users: int, num_items: int, seed: int = 0, noise: float = 0.1
) -> list[list[int]]:
    """Sequences in which item i is followed by i + 1, but for a share of `noise`.

    Args:
        num_users: number of sequences; lengths are 3 to 14, short ones more often.
        num_items: size of the cycle; item ids are 1 to this number.
        seed: of the generator.
        noise: probability that the next item is drawn uniformly instead.
    """
    generator = np.random.default_rng(seed)
    sequences = []
    for _ in range(num_users):
        items = [int(generator.integers(1, num_items + 1))]
        length = 3 + min(11, int(generator.geometric(0.3)))
        while len(items) < length:
            follows = items[-1] % num_items + 1
            jump = int(generator.integers(1, num_items + 1))
            items.append(jump if generator.random() < noise else follows)
        sequences.append(items)
    return sequences


def train_split(rows: list[list[int]], head_above: int) -> Sequences:
    """A train split in memory; users longer than `head_above` are head."""
    lengths = np.array([len(row) for row in rows])
    return Sequences(
        user_ids=np.arange(len(rows)),
        values=np.concatenate(rows).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        target_ids=np.zeros(len(rows), np.int32),
        is_head=lengths > head_above,
        sequence_lengths=lengths.astype(np.int32),
    )


def write_dataset(
    root: Path, sequences: list[list[int]], num_items: int, num_shards: int = 1
) -> Path:
    """Writes a finished dataset folder; item n's raw id is `item-n`, user m's `user-m`.

    Args:
        root: the folder; must not exist.
        sequences: full sequences of item ids, one a user, oldest first.
        num_items: size of the vocabulary.
        num_shards: of every split; users go to them by turns.
    """
    dataset = spec.DatasetDir(root)
    users = [f"user-{number:05d}" for number in range(len(sequences))]
    ranked = sorted(range(len(users)), key=lambda row: (-len(sequences[row]), row))
    heads = set(ranked[: round(0.2 * len(users))])
    examples: dict[str, list[bytes]] = {split: [] for split in spec.SPLITS}
    for row, items in enumerate(sequences):
        common = (users[row], row in heads, len(items))
        if len(items) < 3:
            examples["train"].append(_example(*common, items))
            continue
        examples["train"].append(_example(*common, items[:-2]))
        examples["valid"].append(_example(*common, items[:-2], items[-2]))
        examples["test"].append(_example(*common, items[:-1], items[-1]))
    for split, records in examples.items():
        (root / split).mkdir(parents=True)
        for number in range(num_shards):
            name = f"part-{number:05d}-of-{num_shards:05d}.tfrecord.gz"
            _write_shard(root / split / name, records[number::num_shards])
    names = "".join(f"item-{item}\n" for item in range(1, num_items + 1))
    dataset.item_vocab.write_text(names)
    counts = np.bincount(np.concatenate(sequences), minlength=num_items + 1)[1:]
    dataset.item_counts.write_text("".join(f"{count}\n" for count in counts))
    info = spec.DatasetInfo(
        num_users=len(users),
        num_items=num_items,
        num_actions=sum(map(len, sequences)),
        num_head_users=len(heads),
        head_share=0.2,
        head_min_length=min((len(sequences[row]) for row in heads), default=0),
        k_core=1,
        split_examples={split: len(records) for split, records in examples.items()},
    )
    dataset.info_file.write_text(json.dumps({"info": dataclasses.asdict(info)}))
    files = {
        str(path.relative_to(root)): {"sha256": spec.sha256_of_file(path)}
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    manifest = {"format_version": spec.FORMAT_VERSION, "counts": {}, "files": files}
    dataset.manifest.write_text(json.dumps(manifest))
    return root


def _write_shard(path: Path, records: list[bytes]) -> None:
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)


def _example(
    user: str, is_head: bool, length: int, items: list[int], target: int | None = None
) -> bytes:
    features = {
        spec.USER_ID: _bytes(user.encode()),
        spec.ITEM_IDS: _int64(items),
        spec.IS_HEAD: _int64([int(is_head)]),
        spec.SEQUENCE_LENGTH: _int64([length]),
    }
    if target is not None:
        features[spec.TARGET_ID] = _int64([target])
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def _int64(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

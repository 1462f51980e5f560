"""Sequences -> tf.train.Examples in the shards of the splits."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.dataset_info import HeadRule
from beam_jobs.example_proto import Feature, serialize_example
from beam_jobs.records import UserSequence, read_sequences
from beam_jobs.splits import SplitExample, split_examples
from beam_jobs.storage.files import as_path, new_file, new_gzip_file
from beam_jobs.tfrecord_files import write_record
from beam_jobs.vocabulary import read_item_ids
from s4rec_tf import spec

SECONDS_PER_USER = 7e-5
"""To write the examples of a user, on one core."""


class Shard(NamedTuple):
    """A shard of every split and the files of sequences that make it up."""

    number: int
    num_shards: int
    sources: tuple[str, ...]


def shard_name(number: int, num_shards: int) -> str:
    """(0, 4) -> "part-00000-of-00004.tfrecord.gz"."""
    return f"part-{number:05d}-of-{num_shards:05d}.tfrecord.gz"


def to_features(
    sequence: UserSequence, length: int, is_head: bool, example: SplitExample
) -> dict[str, Feature]:
    """The features of an example, as `s4rec_tf.spec` states them."""
    features: dict[str, Feature] = {
        spec.USER_ID: sequence.user,
        spec.ITEM_IDS: list(example.item_ids),
        spec.IS_HEAD: int(is_head),
        spec.SEQUENCE_LENGTH: length,
    }
    if example.target_id is not None:
        features[spec.TARGET_ID] = example.target_id
    return features


def serialize_user(
    sequence: UserSequence, item_ids: dict[bytes, int], head_rule: HeadRule
) -> Iterator[tuple[str, bytes]]:
    """Pairs of a split and the user's serialized example in it."""
    ids = [item_ids[item] for item in sequence.items]
    is_head = head_rule.is_head(sequence)
    for example in split_examples(ids, sequence.cuts):
        features = to_features(sequence, len(ids), is_head, example)
        yield example.split, serialize_example(features)


def write_shard(
    shard: Shard, root: Path, item_ids: dict[bytes, int], head_rule: HeadRule
) -> dict[str, int]:
    """Writes a shard of every split, sorted by user; the examples per file name."""
    name = shard_name(shard.number, shard.num_shards)
    counts = Counter({f"{split}/{name}": 0 for split in spec.SPLITS})
    with contextlib.ExitStack() as stack:
        streams = {
            split: stack.enter_context(new_gzip_file(root / split / name))
            for split in spec.SPLITS
        }
        sources = [
            stack.enter_context(as_path(path).open("rb")) for path in shard.sources
        ]
        for sequence in heapq.merge(*map(read_sequences, sources)):
            for split, record in serialize_user(sequence, item_ids, head_rule):
                write_record(streams[split], record)
                counts[f"{split}/{name}"] += 1
    return dict(counts)


@functools.lru_cache(maxsize=1)
def _item_ids(path: Path) -> dict[bytes, int]:
    """The vocabulary, read once per worker process."""
    return read_item_ids(path)


def _write_shard(shard: Shard, root: Path, head_rule: HeadRule) -> dict[str, int]:
    item_ids = _item_ids(spec.DatasetDir(root).item_vocab)
    return write_shard(shard, root, item_ids, head_rule)


def _write_counts(counts: list[dict[str, int]], path: Path) -> None:
    joined = dict(itertools.chain.from_iterable(part.items() for part in counts))
    with new_file(path) as stream:
        stream.write(json.dumps(joined, sort_keys=True).encode())


def read_counts(path: Path) -> dict[str, int]:
    """The number of examples per file that `wire_examples` wrote."""
    counts: dict[str, int] = json.loads(path.read_bytes())
    return counts


def group_into_shards(sequences: Sequence[Path], num_shards: int) -> list[Shard]:
    """Spreads files of sequences over shards: file n belongs to shard n % num_shards.

    A user's shard is then the hash of their id modulo `num_shards`, as long as that
    divides the number of files.
    """
    if len(sequences) % num_shards:
        raise ValueError(
            f"`num_shards` must divide {len(sequences)}. Received: {num_shards}"
        )
    return [
        Shard(number, num_shards, tuple(map(str, sequences[number::num_shards])))
        for number in range(num_shards)
    ]


def wire_examples(
    pipeline: beam.Pipeline,
    shards: list[Shard],
    root: Path,
    head_rule: HeadRule,
    counts_path: Path,
) -> None:
    """Wires the writing of all shards; the number of examples per file is written too.

    Args:
        pipeline: the pipeline.
        shards: the shards.
        root: the dataset folder being built; its vocabulary is already there.
        head_rule: who is head.
        counts_path: JSON file of examples per shard's name.
    """
    (
        pipeline
        | "Shards" >> beam.Create(shards)
        | "SpreadShards" >> beam.Reshuffle()
        | "WriteShard" >> beam.Map(_write_shard, root, head_rule)
        | "ListCounts" >> beam.combiners.ToList()
        | "WriteCounts" >> beam.Map(_write_counts, counts_path)
    )

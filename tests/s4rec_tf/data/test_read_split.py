"""Damaged shards are refused before training, by name of shard and record."""

import gzip
import json
import shutil

import pytest
import tensorflow as tf

from benchmarks.small_datasets import write_dataset
from s4rec_tf import spec
from s4rec_tf.data import records

ROWS = [[1, 2, 3, 4], [2, 3, 1], [4, 4, 2], [3, 1, 2, 2, 5]]


@pytest.fixture
def dataset(tmp_path):
    root = write_dataset(tmp_path / "dataset", ROWS, 5)
    dataset = spec.DatasetDir(root)
    manifest = dataset.read_manifest()
    for split in spec.SPLITS:
        manifest["files"][f"{split}/{shard_of(dataset, split).name}"]["examples"] = 4
    dataset.manifest.write_text(json.dumps(manifest))
    return dataset


def shard_of(dataset, split):
    (path,) = dataset.shards(split)
    return path


def raw_records(path):
    """The records with their framing: 12 bytes before the data, 4 after."""
    content = gzip.decompress(path.read_bytes())
    found = []
    while content:
        end = 16 + int.from_bytes(content[:8], "little")
        found.append(content[:end])
        content = content[end:]
    return found


def rewrite(dataset, path, raw):
    """Compresses records anew and gives the manifest their digest."""
    path.write_bytes(gzip.compress(b"".join(raw)))
    manifest = json.loads(dataset.manifest.read_text())
    entry = manifest["files"][f"{path.parent.name}/{path.name}"]
    entry["sha256"] = spec.sha256_of_file(path)
    dataset.manifest.write_text(json.dumps(manifest))


def flipped(record):
    return record[:20] + bytes([record[20] ^ 1]) + record[21:]


def test_a_sound_split_is_read(dataset):
    records.verify(dataset)
    assert records.read_split(dataset, "test").target_ids.tolist() == [4, 1, 2, 5]


def test_a_damaged_record_is_named_by_its_number(dataset):
    path = shard_of(dataset, "valid")
    raw = raw_records(path)
    rewrite(dataset, path, [*raw[:2], flipped(raw[2]), raw[3]])
    records.verify(dataset)  # the digest is that of the damaged file
    with pytest.raises(spec.DatasetError, match=rf"{path} is damaged: record 2 \("):
        records.read_split(dataset, "valid")


def test_a_digest_that_does_not_hold_names_the_record_too(dataset):
    path = shard_of(dataset, "train")
    raw = raw_records(path)
    path.write_bytes(gzip.compress(b"".join([raw[0], flipped(raw[1]), *raw[2:]])))
    with pytest.raises(spec.DatasetError, match=rf"{path} is damaged: .*; record 1 \("):
        records.verify(dataset)
    path.write_bytes(gzip.compress(b"".join(raw[::-1])))
    with pytest.raises(spec.DatasetError, match="all its 4 records can be read, but"):
        records.verify(dataset)
    dataset.item_vocab.write_text("other\n")
    path.write_bytes(gzip.compress(b"".join(raw)))
    with pytest.raises(spec.DatasetError, match=r"item_vocab\.txt is damaged"):
        records.verify(dataset)


def test_a_lost_record_names_the_shard(dataset):
    path = shard_of(dataset, "test")
    rewrite(dataset, path, raw_records(path)[:-1])
    records.verify(dataset)
    message = rf"{path} must hold 4 examples\. Received: 3"
    with pytest.raises(spec.DatasetError, match=message):
        records.read_split(dataset, "test")


def test_a_shard_that_the_manifest_does_not_name_is_refused(dataset):
    path = shard_of(dataset, "train")
    shutil.copy(path, path.with_name("part-00001-of-00001.tfrecord.gz"))
    with pytest.raises(spec.DatasetError, match=r"part-00001.* is not in"):
        records.read_split(dataset, "train")


def test_an_id_outside_the_vocabulary_names_shard_and_record(dataset):
    path = shard_of(dataset, "train")
    example = tf.train.Example.FromString(raw_records(path)[3][12:-4])
    example.features.feature["item_ids"].int64_list.value[:] = [1, 6]
    with tf.io.TFRecordWriter(str(path.with_name("one")), "GZIP") as writer:
        writer.write(example.SerializeToString())
    (changed,) = raw_records(path.with_name("one"))
    rewrite(dataset, path, [*raw_records(path)[:3], changed])
    message = rf"`item_ids` of record 3 \(from 0\) in {path} must lie in \[1, 5\]\. .*6"
    with pytest.raises(spec.DatasetError, match=message):
        records.read_split(dataset, "train")

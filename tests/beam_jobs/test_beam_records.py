import gzip

import pytest

from beam_jobs.sinks.encoding import (
    DamagedRecords,
    parse_example,
    read_records,
    serialize_example,
    write_records,
)


def test_tensorflow_reads_what_is_written_without_it(tmp_path):
    import tensorflow as tf

    features = {"user_id": "é".encode(), "item_ids": [1, 300, 2**40], "is_head": 0}
    path = tmp_path / "records.gz"
    with gzip.open(path, "wb") as stream:
        assert write_records(stream, [serialize_example(features)] * 3) == 3
    examples = [
        tf.train.Example.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP")
    ]
    assert len(examples) == 3
    for example in examples:
        feature = example.features.feature
        assert list(feature["user_id"].bytes_list.value) == ["é".encode()]
        assert list(feature["item_ids"].int64_list.value) == [1, 300, 2**40]
        assert list(feature["is_head"].int64_list.value) == [0]
        assert parse_example(example.SerializeToString()) == {
            "user_id": ["é".encode()],
            "item_ids": [1, 300, 2**40],
            "is_head": [0],
        }


def test_every_damage_to_records_is_found(tmp_path):
    plain = tmp_path / "plain"
    with plain.open("wb") as stream:
        write_records(stream, [b"first", b"second"])
    content = plain.read_bytes()
    first = 8 + 4 + 5 + 4
    path = tmp_path / "records.gz"
    for position in range(first, len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        for damaged in (content[:position], bytes(flipped)):
            if damaged == content[:first]:
                continue
            path.write_bytes(gzip.compress(damaged))
            with pytest.raises(DamagedRecords, match=r"records\.gz .* at record 1"):
                list(read_records(path))

import hashlib
import zlib

import apache_beam as beam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_rows import outputs_of

from beam_jobs.logs.interactions import END_OF_TIME_MS, Interaction, checked_id
from beam_jobs.sequences import UserSequence, bucket_of, to_action_line
from beam_jobs.sinks.encoding import parse_example, read_records
from beam_jobs.sinks.shards import (
    join_keyed,
    join_lines,
    keyed_line,
    records_only,
    split_keyed,
    split_lines,
)
from beam_jobs.sinks.write_actions import WriteActions, distinct_records
from beam_jobs.sinks.write_examples import WriteExamples, num_shards_for
from beam_jobs.sinks.write_sequences import ReadSequences, WriteSequences

IDS = st.text("!~09azé\u0378日\U0001f600", min_size=1, max_size=3)
TIMES = st.integers(0, END_OF_TIME_MS - 1)
INTERACTIONS = st.builds(Interaction, IDS, IDS, TIMES, st.none(), st.just(0))


@settings(deadline=None)
@given(st.lists(INTERACTIONS))
def test_distinct_actions_in_order_of_user_time_and_item(interactions):
    assert all(checked_id(id_, "id") for i in interactions for id_ in i[:2])
    expected = sorted({(u.encode(), t, i.encode()) for u, i, t, *_ in interactions})
    lines = sorted(to_action_line(each) for each in interactions)
    found = [parse_example(record) for record in distinct_records(iter(lines))]
    assert [
        (each["user_id"][0], each["timestamp_ms"][0], each["item"][0]) for each in found
    ] == expected


def test_buckets_are_those_of_sha256():
    digest = hashlib.sha256(b"A1YJEY40YUW4SE").digest()
    assert bucket_of(b"A1YJEY40YUW4SE", 7) == int.from_bytes(digest[:8], "big") % 7


def test_every_shard_is_written_and_its_digest_known(tmp_path):
    rows = [
        Interaction("u", "i", 1),
        Interaction("u", "i", 1),
        Interaction("v", "i", 1),
    ]

    def wire(pipeline):
        written = pipeline | beam.Create(rows) | WriteActions(tmp_path, 5)
        return {"written": written}

    found = outputs_of(tmp_path, wire)["written"]
    assert [name for name, *_ in found] == [
        f"actions/part-0000{n}-of-00005.tfrecord.gz" for n in range(5)
    ]
    for name, digest, size, records, _ in found:
        content = (tmp_path / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert len(content) == size
        assert len(list(read_records(tmp_path / name))) == records
    assert sum(records for *_, records, _ in found) == 2
    assert sum(arrived for *_, arrived in found) == 3
    assert found[zlib.crc32(b"v") % 5][3] >= 1


def test_examples_are_sorted_by_user_in_their_shard(tmp_path):
    def wire(pipeline):
        records = [(b"b", b"2"), (b"a", b"1"), (b"c", b"3")]
        examples = {
            split: pipeline | split >> beam.Create(records if split == "train" else [])
            for split in ("train", "valid", "test")
        }
        number = pipeline | "N" >> beam.Create([1])
        return {"written": examples | WriteExamples(tmp_path, number)}

    found = outputs_of(tmp_path, wire)["written"]
    assert [(name.split("/")[0], records) for name, _, _, records, _ in found] == [
        *(("test", 0), ("train", 3), ("valid", 0))
    ]
    path = tmp_path / "train" / "part-00000-of-00001.tfrecord.gz"
    assert list(read_records(path)) == [b"1", b"2", b"3"]


def test_sequences_come_back(tmp_path):
    rows = [UserSequence(b"u%d" % n, [b"a", b"b"]) for n in range(5)]

    def write(pipeline):
        written = pipeline | beam.Create(rows) | WriteSequences(tmp_path, "left", 3)
        return {"written": written}

    written = outputs_of(tmp_path, write)["written"]
    paths = [str(tmp_path / name) for name, *_ in written]
    found = outputs_of(tmp_path, lambda p: {"rows": p | ReadSequences(paths)})["rows"]
    assert found == [[f"u{n}", ["a", "b"], None] for n in range(5)]


def test_packed_records_come_back():
    records = [(b"", b""), (b"k", b"b"), (b"k\n", b"\x00" * 9), (b"k", b"a")]
    lines = sorted(split_keyed(join_keyed([keyed_line(each) for each in records])))
    assert list(records_only(iter(lines))) == [each for _, each in sorted(records)]
    with pytest.raises(ValueError, match=r"no zero byte\. Received: b'k\\x00'"):
        keyed_line((b"k\x00", b""))
    assert split_lines(join_lines([b"a", b"b"])) == [b"a", b"b"]


def test_shards_by_size():
    assert num_shards_for(943, 99_287) == 1
    assert num_shards_for(2_999, 486_907) == 2
    assert num_shards_for(22_363, 198_502) == 4
    assert num_shards_for(10**8, 10**9) == -(-4 * 10**9 // (64 << 20))

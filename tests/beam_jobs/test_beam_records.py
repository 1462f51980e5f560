import gzip
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.actions import distinct_lines, write_bucket
from beam_jobs.erasure import Erasure
from beam_jobs.example_proto import parse_example, serialize_example
from beam_jobs.logs.interactions import END_OF_TIME_MS, Interaction, checked_id
from beam_jobs.records import bucket_of, parse_action_line, to_action_line
from beam_jobs.splits import SplitRule
from beam_jobs.tfrecord_files import DamagedRecords, read_records, write_record

IDS = st.text("!~09azé\u0378日\U0001f600", min_size=1, max_size=3)
INTERACTIONS = st.builds(Interaction, IDS, IDS, st.integers(0, END_OF_TIME_MS - 1))


@settings(deadline=None)
@given(st.lists(INTERACTIONS))
def test_the_order_of_lines_is_that_of_user_time_and_item(interactions):
    assert all(checked_id(id_, "id") for i in interactions for id_ in i[:2])
    expected = sorted({(u.encode(), t, i.encode()) for u, i, t, _ in interactions})
    lines, duplicates = distinct_lines(to_action_line(i) + b"\n" for i in interactions)
    assert [parse_action_line(line) for line in lines] == expected
    assert duplicates == len(interactions) - len(expected)


def test_buckets_are_those_of_sha256():
    digest = hashlib.sha256(b"A1YJEY40YUW4SE").digest()
    assert bucket_of(b"A1YJEY40YUW4SE", 7) == int.from_bytes(digest[:8], "big") % 7


def write(tmp_path, lines, cap=10, order_is_time=False):
    batches = [f"{user}\t{time:013}\t{item}\n".encode() for user, time, item in lines]
    summary = write_bucket(
        batches,
        tmp_path / "actions.gz",
        tmp_path / "users",
        cap,
        order_is_time,
        Erasure(),
        SplitRule(),
    )
    actions = [
        parse_example(record) for record in read_records(tmp_path / "actions.gz")
    ]
    return summary, actions, (tmp_path / "users").read_text()


def test_a_bucket_drops_duplicates_orders_and_keeps_repeats(tmp_path):
    lines = [("u", 2, "b"), ("u", 2, "a"), ("t", 1, "z"), ("u", 1, "b"), ("u", 2, "a")]
    summary, actions, users = write(tmp_path, lines)
    assert users == "t\tz\nu\tb a b\n"
    assert actions == [
        {"user_id": [user], "timestamp_ms": [time], "item": [item]}
        for user, time, item in [
            (b"t", 1, b"z"),
            (b"u", 1, b"b"),
            (b"u", 2, b"a"),
            (b"u", 2, b"b"),
        ]
    ]
    assert (summary.users, summary.actions, summary.duplicates) == (2, 4, 1)


def test_the_cap_keeps_the_newest_but_actions_hold_all(tmp_path):
    lines = [("u", 1, "a"), ("u", 2, "c"), ("u", 2, "b"), ("u", 3, "d"), ("v", 1, "a")]
    summary, actions, users = write(tmp_path, lines, cap=2)
    assert users == "u\tc d\nv\ta\n"
    assert len(actions) == 5
    assert (summary.capped_users, summary.capped_actions) == (1, 2)


def test_two_lines_of_one_user_conflict_where_order_is_time(tmp_path):
    lines = [("u", 0, "a"), ("u", 1, "b"), ("u", 0, "c")]
    assert write(tmp_path, lines, order_is_time=True)[0].conflict == "u"
    assert write(tmp_path, lines)[0].conflict is None
    assert write(tmp_path, lines[:2] * 2, order_is_time=True)[0].conflict is None


def test_tensorflow_reads_what_is_written_without_it(tmp_path):
    import tensorflow as tf

    features = {"user_id": "é".encode(), "item_ids": [1, 300, 2**40], "is_head": 0}
    path = tmp_path / "records.gz"
    with gzip.open(path, "wb") as stream:
        for _ in range(3):
            write_record(stream, serialize_example(features))
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
        for data in (b"first", b"second"):
            write_record(stream, data)
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

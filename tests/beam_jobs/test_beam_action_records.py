"""Actions written by a template are what TensorFlow would write."""

from __future__ import annotations

import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from beam_jobs.sinks.encoding import serialize_action, serialize_example

IDS = st.binary(min_size=1, max_size=140)
TIMES = st.integers(0, 4_102_444_800_000)


@given(IDS, TIMES, IDS)
@example(b"u" * 64, 1 << 35, b"i" * 4)
@example(b"u" * 64, (1 << 35) - 1, b"i" * 5)
@example(b"u" * 4, 1_391_040_000_000, b"i" * 64)
def test_an_action_reads_back_and_is_as_short_as_can_be(
    user: bytes, time: int, item: bytes
) -> None:
    written = serialize_action((user, time, item))
    parsed = tf.train.Example.FromString(written)
    features = parsed.features.feature
    assert set(features) == {"user_id", "timestamp_ms", "item"}
    assert list(features["user_id"].bytes_list.value) == [user]
    assert list(features["timestamp_ms"].int64_list.value) == [time]
    assert list(features["item"].bytes_list.value) == [item]
    assert written == parsed.SerializeToString(deterministic=True)


NUMBERS = st.integers(-(2**63), 2**63 - 1)
# Of equal length: a name that begins another one's sorts differently in protobuf.
FEATURES = st.dictionaries(
    st.text(min_size=3, max_size=3),
    st.binary(max_size=300) | NUMBERS | st.lists(NUMBERS, max_size=40),
    max_size=6,
)


@given(FEATURES)
@example({"item_ids": [], "b": b"", "a": 0})
@example({"user_id": b"u", "item_ids": [1, 300], "is_head": 1, "target_id": 2**40})
def test_an_example_is_what_tensorflow_would_write(features: dict) -> None:
    expected = tf.train.Example()
    for name, value in features.items():
        feature = expected.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            numbers = [value] if isinstance(value, int) else value
            feature.int64_list.SetInParent()
            feature.int64_list.value.extend(numbers)
    # Without an entry TensorFlow leaves `features` out; a reader sees the same.
    expected.features.SetInParent()
    assert serialize_example(features) == expected.SerializeToString(deterministic=True)

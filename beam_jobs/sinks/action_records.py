"""One action as a tf.train.Example of item, timestamp_ms and user_id."""

from __future__ import annotations

from beam_jobs.sinks.example_proto import serialize_example
from beam_jobs.splits import untagged_time

Action = tuple[bytes, int, bytes]
"""User, time as `splits.tagged_time` made it, item."""

_SHORT_ID = 64
"""Up to here every length below takes one byte."""

_SIX_BYTES = range(1 << 35, 1 << 42)
"""Numbers whose varint has six bytes: times from 1971 to 2109."""

# Tag, length and content of: Example.features; three times Features.feature with key
# and value, each value a list of one element; in order of key.
_TEMPLATE = (
    b"\x0a%c"
    b"\x0a%c\x0a\x04item\x12%c\x0a%c\x0a%c%b"
    b"\x0a\x1a\x0a\x0ctimestamp_ms\x12\x0a\x1a\x08\x0a\x06%c%c%c%c%c%c"
    b"\x0a%c\x0a\x07user_id\x12%c\x0a%c\x0a%c%b"
)
_FIXED_BYTES = 14 + 28 + 17


def serialize_action(action: Action) -> bytes:
    """The bytes that `serialize_example` would give, in a fifth of its time."""
    user, time, item = action
    time = untagged_time(time)
    m, n = len(item), len(user)
    if m > _SHORT_ID or n > _SHORT_ID or m + n > 68 or time not in _SIX_BYTES:
        return serialize_example({"user_id": user, "item": item, "timestamp_ms": time})
    return _TEMPLATE % (
        _FIXED_BYTES + m + n,
        m + 12,
        m + 4,
        m + 2,
        m,
        item,
        time & 0x7F | 0x80,
        time >> 7 & 0x7F | 0x80,
        time >> 14 & 0x7F | 0x80,
        time >> 21 & 0x7F | 0x80,
        time >> 28 & 0x7F | 0x80,
        time >> 35,
        n + 15,
        n + 4,
        n + 2,
        n,
        user,
    )

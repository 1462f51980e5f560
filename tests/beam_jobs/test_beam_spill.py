"""Action lines between parsing and grouping."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from beam_jobs.spill import num_buckets_for, spill, spilled

MIB = 1 << 20


def test_a_user_is_in_the_bucket_of_their_hash_whatever_the_source(
    tmp_path: Path,
) -> None:
    first = [b"u%d\t0007\ti%d" % (user, item) for item in (0, 1) for user in range(50)]
    second = [b"u%d\t0008\ti2" % user for user in range(50)]
    spill(iter(first), tmp_path, "log-0", 4)
    spill(iter(second), tmp_path, "log-1", 4)
    found = []
    for bucket in range(4):
        for content in spilled(tmp_path, bucket):
            for line in content.split(b"\n")[:-1]:
                digest = hashlib.sha256(line.split(b"\t")[0]).digest()
                assert int.from_bytes(digest[:8], "big") % 4 == bucket
                found.append(line)
    assert sorted(found) == sorted(first + second)


def test_a_source_that_is_read_again_replaces_its_lines(tmp_path: Path) -> None:
    for lines in ([b"u\t1\ta", b"u\t2\tb"], [b"u\t1\ta"]):
        spill(lines, tmp_path, "log-0", 1)
    assert list(spilled(tmp_path, 0)) == [b"u\t1\ta\n"]
    assert list(spilled(tmp_path, 1)) == []


@pytest.mark.parametrize(
    ("num_bytes", "num_shards", "expected"),
    [(0, 4, 4), (3 * MIB, 3, 3), (100 * MIB, 4, 16), (10**12, 4, 256), (9 * MIB, 1, 2)],
)
def test_buckets_grow_with_the_logs_and_fill_shards(
    num_bytes: int, num_shards: int, expected: int
) -> None:
    assert num_buckets_for(num_bytes, num_shards) == expected

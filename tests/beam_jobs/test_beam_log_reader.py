import gzip
import json

import pytest

from beam_jobs.logs.bad_records import bad_record_entry
from beam_jobs.logs.files import InputError, match_files
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.parsers import LineFormat
from beam_jobs.logs.reading import Record, read_records

PACKED = LineFormat("sequences", "sequences", container="gzip")


def lines_of(path):
    return [record.content for record in read_records(str(path), PACKED)]


def test_gzip_members_are_joined(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert lines_of(path) == [b"one", b"two"]


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign tail"])
def test_damaged_gzip_names_the_file(tmp_path, damage):
    packed = gzip.compress(b"".join(b"%d line\n" % n for n in range(1000)))
    middle = len(packed) // 2
    damaged = {
        "cut": packed[:middle],
        "flip": packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :],
        "foreign tail": packed + b"not gzip",
    }[damage]
    path = tmp_path / "log.gz"
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"log\.gz is a damaged gzip file"):
        lines_of(path)


def test_globs(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    both = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert match_files([str(tmp_path / "*"), both[0]]) == both
    with pytest.raises(InputError, match=r"matches no file\. Received: '/nowhere/\*'"):
        match_files(["/nowhere/*"])


def test_a_huge_bad_line_is_cut_between_characters():
    line = "é".encode() * 5000
    record = Record(0, 1, b"x" + line)
    entry = json.loads(bad_record_entry("f", record, BadRecord("bad_time", "")))
    assert entry["cut"] is True
    assert entry["content"] == "x" + "é" * 999

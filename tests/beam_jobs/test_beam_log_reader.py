import gzip
import json

import pytest

from beam_jobs.logs import files as log_files
from beam_jobs.logs.bad_records import bad_record_entry
from beam_jobs.logs.files import InputError, match_files, read_lines
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.parsers import LineFormat
from beam_jobs.logs.reading import Record

MOVIELENS = LineFormat("movielens", "delimited", "::")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_of_plain_and_gzip_files(tmp_path, pack):
    path = tmp_path / "log.txt"
    path.write_bytes(pack(b"\xef\xbb\xbfone\r\n\ntwo\nthree"))
    assert list(read_lines(str(path))) == [b"one", b"", b"two", b"three"]


def test_gzip_members_are_joined(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert list(read_lines(str(path))) == [b"one", b"two"]


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
        list(read_lines(str(path)))


def test_an_endless_line_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 10)
    path = tmp_path / "log"
    path.write_bytes(b"x" * 35 + b"\nshort\n" + b"y" * 10 + b"\n" + b"z" * 40)
    lines = list(read_lines(str(path)))
    assert lines == [b"x" * 11, b"short", b"y" * 10, b"z" * 11]


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

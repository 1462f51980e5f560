import base64
import gzip
import json

import pytest

from beam_jobs.log_reader import LogReader
from beam_jobs.logs import files as log_files
from beam_jobs.logs.bad_records import bad_record_entry
from beam_jobs.logs.files import InputError, match_files, read_lines
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import LineFormat
from beam_jobs.logs.selection import Selection

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


def read(tmp_path, content, line_format=MOVIELENS, selection=None):
    path = tmp_path / "log"
    path.write_bytes(content)
    log_file = LogFile(str(path), "log", 3, line_format)
    reader = LogReader(log_file, selection or Selection(), tmp_path / "bad")
    return list(reader), reader.summary()


def test_good_lines_become_actions_and_bad_ones_are_set_aside(tmp_path):
    lines, summary = read(
        tmp_path, b"1::2::3::4\n\nbad\n1::7::3::5\nx::y::z::4\n1::\xff::3::4\n"
    )
    assert lines == [b"1\t00000000004000\t2", b"1\t00000000005000\t7"]
    assert summary.lines == 5
    assert summary.actions == 2
    assert summary.bad == {"wrong_column_count": 1, "bad_rating": 1, "invalid_utf8": 1}
    bad_lines = (tmp_path / "bad" / "part-00003.jsonl").read_text().splitlines()
    assert summary.example == bad_lines[0]
    entries = [json.loads(line) for line in bad_lines]
    assert [entry["reason"] for entry in entries] == list(summary.bad)
    assert [entry["line_number"] for entry in entries] == [3, 5, 6]
    assert {entry["file"] for entry in entries} == {"log"}
    assert entries[0]["content"] == "bad"
    assert base64.b64decode(entries[2]["content_base64"]) == b"1::\xff::3::4"


def test_a_file_without_bad_lines_has_no_bad_records(tmp_path):
    read(tmp_path, b"1::2::3::4\n")
    assert not (tmp_path / "bad").exists()


def test_the_header_is_no_record(tmp_path):
    line_format = LineFormat("movielens", "delimited", ",", has_header=True)
    lines, summary = read(
        tmp_path, b"userId,movieId,rating,timestamp\n1,2,3,4\n", line_format
    )
    assert lines == [b"1\t00000000004000\t2"]
    assert summary.lines == 1


def test_since_is_inclusive_until_exclusive(tmp_path):
    content = b"".join(b"u::%d::3::%d\n" % (time, time) for time in range(5))
    lines, summary = read(tmp_path, content, selection=Selection(1000, 3000))
    assert [line.split(b"\t")[2] for line in lines] == [b"1", b"2"]
    assert summary.not_selected == 3


def test_min_rating(tmp_path):
    content = b"u::a::3::1\nu::b::4::1\nu::c::4.5::1\n"
    lines, summary = read(tmp_path, content, selection=Selection(min_rating=4))
    assert [line.split(b"\t")[2] for line in lines] == [b"b", b"c"]
    assert summary.not_selected == 1


def test_a_damaged_file_is_reported_not_raised(tmp_path):
    packed = MOVIELENS._replace(container="gzip")
    _, summary = read(tmp_path, gzip.compress(b"1::2::3::4\n" * 1000)[:-9], packed)
    assert "log is a damaged gzip file" in summary.error


def test_a_huge_bad_line_is_cut_between_characters():
    line = "é".encode() * 5000
    entry = json.loads(bad_record_entry("f", 1, b"x" + line, BadRecord("bad_time", "")))
    assert entry["cut"] is True
    assert entry["content"] == "x" + "é" * 999

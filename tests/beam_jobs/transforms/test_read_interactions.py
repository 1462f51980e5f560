import base64
import gzip
import json
import time

import pytest
from literal_rows import outputs_of

from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.selection import Selection
from beam_jobs.storage.identity import FileIdentity
from beam_jobs.transforms import ReadInteractions
from beam_jobs.transforms.read_interactions import LogRange, ranges_of

SECOND = 10**12
"""Milliseconds of the times below, which begin in 2001."""


def read(folder, *paths, **settings):
    (folder / "found").mkdir(exist_ok=True)

    def wire(pipeline):
        patterns = tuple(map(str, paths))
        return (pipeline | ReadInteractions(patterns, **settings))._asdict()

    found = outputs_of(folder / "found", wire)
    counts = {}
    for name, number in found["counts"]:
        counts[name] = counts.get(name, 0) + number
    return found | {"counts": counts}


def test_good_lines_become_interactions_and_bad_ones_stand_aside(tmp_path):
    log = tmp_path / "log"
    good = b"".join(b"1::%d::3::1000000004\n" % n for n in range(9))
    lines = "1::2::3::T4\n\nbad\n1::7::3::T5\nx::y::z::T4\n1::\xff::3::T4\n"
    log.write_bytes(good + lines.replace("T", "100000000").encode("latin-1"))
    found = read(tmp_path, log)
    assert found["interactions"][-1][:3] == ["1", "8", SECOND + 4000]
    assert ["1", "7", SECOND + 5000, 3.0, 0] in found["interactions"]
    counts = found["counts"]
    assert (counts["lines"], counts["interactions"], counts["bad"]) == (14, 11, 3)
    assert counts["bad_bad_rating"] == counts["bad_wrong_column_count"] == 1
    assert counts[f"days:{SECOND // 86_400_000}"] == 11
    entries = [json.loads(entry) for *_, entry in found["bad_records"]]
    entries.sort(key=lambda entry: entry["offset"])
    assert [entry["reason"] for entry in entries] == [
        *("wrong_column_count", "bad_rating", "invalid_utf8")
    ]
    first = len(good) + len("1::2::3::1000000004\n\n")
    assert entries[0]["offset"] == first
    assert entries[0]["line_number"] == 12
    assert {entry["file"] for entry in entries} == {"log"}
    assert entries[0]["content"] == "bad"
    assert base64.b64decode(entries[2]["content_base64"]) == b"1::\xff::3::1000000004"
    ((name, size, moment, checksum),) = found["files"]
    assert (name, size, checksum) == ("log", log.stat().st_size, None)
    changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(log.stat().st_mtime))
    assert moment == f"{changed}+00:00"
    assert found["errors"] == []


def test_ranges_of_a_plain_file_give_what_the_whole_gives(tmp_path):
    log, packed = tmp_path / "log", tmp_path / "log.gz"
    lines = [b"u%d::i%d::3::10000000%02d" % (n % 7, n % 5, n) for n in range(60)]
    lines[17] = b"oops"
    log.write_bytes(b"\n".join(lines))
    packed.write_bytes(gzip.compress(log.read_bytes()))
    whole = read(tmp_path, packed)
    for size in (1, 40, 111):
        ranges = read(tmp_path, log, range_bytes=size)
        assert ranges["interactions"] == whole["interactions"]
        assert ranges["counts"] == whole["counts"]
        (bad,) = (json.loads(entry) for *_, entry in ranges["bad_records"])
        assert bad["offset"] == sum(len(line) + 1 for line in lines[:17])


def test_which_ranges():
    identity = FileIdentity("log", 5, "")
    plain = LineFormat("movielens", "delimited", "::")
    ranges = list(ranges_of("log", plain, identity, 2))
    assert ranges == [
        LogRange("log", plain, start, stop)
        for start, stop in ((0, 2), (2, 4), (4, None))
    ]
    packed = plain._replace(container="gzip")
    whole = [LogRange("log", packed, 0, None)]
    assert list(ranges_of("log", packed, identity, 2)) == whole


def test_since_is_inclusive_until_exclusive_and_ratings_count(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"u::%d::%d::100000000%d\n" % (n, n, n) for n in range(5)))
    found = read(
        tmp_path,
        log,
        selection=Selection(SECOND + 1000, SECOND + 4000, 2.0),
        split_number=1,
    )
    assert [row[1] for row in found["interactions"]] == ["2", "3"]
    assert {row[4] for row in found["interactions"]} == {1}
    assert found["counts"]["not_selected"] == 3


def test_what_cannot_be_read_is_an_error_and_does_not_stop_the_others(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1::2::3::1000000004\n" * 9999)[:-9])
    (tmp_path / "b").write_text("Dear all, how are you?\n")
    (tmp_path / "c").write_text("1::2::3::1000000004\n")
    found = read(tmp_path, tmp_path / "[abc]*")
    assert len(found["errors"]) == 2
    said = "; ".join(found["errors"])
    assert "a.gz is a damaged gzip file" in said
    assert "b fits none of the formats" in said
    assert found["counts"]["errors"] == 2
    assert ["1", "2", SECOND + 4000, 3.0, 0] in found["interactions"]


def test_ids_written_as_floats_are_noted(tmp_path):
    log = tmp_path / "log"
    lines = "17850.0::a::3::T\nx.0::5.0::3::T\n7::8::3::T\n"
    log.write_text(lines.replace("T", "1000000004"))
    assert read(tmp_path, log)["float_ids"] == ["17850.0", "5.0"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patterns": ()}, "`patterns` must name a file or more"),
        ({"patterns": ("x",), "range_bytes": 0}, "`range_bytes` must be at least 1"),
    ],
)
def test_wrong_settings_are_refused_before_there_is_a_job(settings, message):
    with pytest.raises(ValueError, match=message):
        ReadInteractions(**settings)


def test_many_lines_of_one_file_all_come_out_and_count_once(tmp_path):
    log = tmp_path / "log"
    lines = [f"u{n % 50}::i{n}::{1 + n % 5}::1000000004" for n in range(2500)]
    lines[1200] = "oops"
    log.write_text("\n".join([*lines, "u::7.0::5::1000000004"]))
    found = read(tmp_path, log, selection=Selection(min_rating=4), split_number=2)
    chosen = [n for n in range(2500) if n % 5 >= 3 and n != 1200]
    expected = {(f"u{n % 50}", f"i{n}", 2) for n in chosen} | {("u", "7.0", 2)}
    given = [(user, item, split) for user, item, _, _, split in found["interactions"]]
    assert len(given) == len(expected) and set(given) == expected
    counts = found["counts"]
    assert (counts["lines"], counts["bad"]) == (2501, 1)
    assert (counts["interactions"], counts["not_selected"]) == (1001, 1499)
    assert counts[f"days:{SECOND // 86_400_000}"] == 2500
    assert found["float_ids"] == ["7.0"]

import gzip
import itertools

import pytest

from beam_jobs.logs import files
from beam_jobs.logs.files import InputError
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.reading import UnclosedQuote, read_records

LINES = LineFormat("json", "record")
CSV = LineFormat("csv", "delimited", num_columns=None)


def read(tmp_path, content, line_format=LINES, start=0, stop=None):
    path = tmp_path / "log"
    path.write_bytes(content)
    return list(read_records(str(path), line_format, start, stop))


def contents(records):
    return [record.content for record in records]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_have_offset_and_number(tmp_path, packed):
    content = b"\xef\xbb\xbfone\r\n\n  \ntwo\nthree"
    line_format = LINES._replace(container="gzip" if packed else "plain")
    content = gzip.compress(content) if packed else content
    assert read(tmp_path, content, line_format) == [
        (3, 1, b"one"),
        (12, 4, b"two"),
        (16, 5, b"three"),
    ]


def test_a_carriage_return_ends_a_line_in_a_file_of_that_kind(tmp_path):
    alone = LINES._replace(line_end="\r")
    assert read(tmp_path, b"a\rb\r\r\nc\nd", alone) == [
        (0, 1, b"a"),
        (2, 2, b"b"),
        (6, 4, b"c"),
        (8, 5, b"d"),
    ]
    assert contents(read(tmp_path, b"a\rb\r\nc\r")) == [b"a\rb", b"c"]


def test_the_header_is_no_record(tmp_path):
    with_header = CSV._replace(has_header=True)
    assert read(tmp_path, b"\nu,i,t\n1,2,3\n", with_header) == [(7, 3, b"1,2,3")]


def test_rows_of_delimiters_alone_are_blank(tmp_path):
    assert contents(read(tmp_path, b"a,b\n,,\r\n , \nc,d\n", CSV)) == [b"a,b", b"c,d"]


FILES = {
    "lines": (b"a\nbb\n\n\nccc\r\n\r\ndd", LINES),
    "carriage returns": (
        b"a\rbb\r\r\n\rccc\r\n\r\ndd\r",
        LINES._replace(line_end="\r"),
    ),
    "a header after blanks": (
        b"\xef\xbb\xbf\n\nu,i\n1,2\n3,4",
        CSV._replace(has_header=True),
    ),
    "no line": (b"\n\n\r\n", LINES),
}


@pytest.mark.parametrize(
    ("name", "head_bytes"),
    [
        *((name, 1 << 16) for name in FILES),
        # Beyond the head of a file, which may hold the header.
        *((name, 0) for name in FILES if "header" not in name),
    ],
)
def test_ranges_give_every_record_once(tmp_path, monkeypatch, name, head_bytes):
    content, line_format = FILES[name]
    monkeypatch.setattr("beam_jobs.logs.reading._HEAD_BYTES", head_bytes)
    whole = read(tmp_path, content, line_format)
    for first in range(len(content) + 1):
        for second in range(first, len(content) + 1):
            cuts = [0, first, second, None]
            parts = [
                record
                for start, stop in itertools.pairwise(cuts)
                for record in read(tmp_path, content, line_format, start, stop)
            ]
            assert [(r.offset, r.content) for r in parts] == [
                (r.offset, r.content) for r in whole
            ]


def test_a_range_inside_a_file_has_no_line_numbers(tmp_path):
    content = b"%05d\n" * 20_000 % tuple(range(20_000))
    records = read(tmp_path, content, start=70_001, stop=70_013)
    assert records == [(70_002, None, b"11667"), (70_008, None, b"11668")]


def test_an_endless_line_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 10)
    content = b"x" * 35 + b"\nshort\n" + b"y" * 10 + b"\n" + b"z" * 40
    for line_end in ("\n", "\r"):
        data = content.replace(b"\n", line_end.encode())
        assert read(tmp_path, data, LINES._replace(line_end=line_end)) == [
            (0, 1, b"x" * 11),
            (36, 2, b"short"),
            (42, 3, b"y" * 10),
            (53, 4, b"z" * 11),
        ]


def test_a_file_that_is_not_splittable_has_one_range(tmp_path):
    packed = LINES._replace(container="gzip")
    content = gzip.compress(b"a\nb\n")
    assert contents(read(tmp_path, content, packed, 0, 1)) == [b"a", b"b"]
    with pytest.raises(ValueError, match=r"must be read from 0\. Received: start=1"):
        read(tmp_path, content, packed, 1)


@pytest.mark.parametrize(
    "changes",
    [{"container": "gzip"}, {"container": "parquet"}, {"quotes": "multiline"}],
)
def test_what_is_not_splittable(changes):
    assert CSV.is_splittable
    assert not CSV._replace(**changes).is_splittable


MULTILINE = CSV._replace(quotes="multiline")


def test_a_quoted_field_may_hold_line_breaks(tmp_path):
    content = b'u1,i1,"a\nu9,i9,5\n""b"" c",1\r\nu2,"i2",5" nail,2\nu3,i3,x,3\n'
    assert read(tmp_path, content, MULTILINE) == [
        (0, 1, b'u1,i1,"a\nu9,i9,5\n""b"" c",1'),
        (29, 4, b'u2,"i2",5" nail,2'),
        (47, 5, b"u3,i3,x,3"),
    ]


@pytest.mark.parametrize(
    ("line_format", "content", "place"),
    [
        (CSV, b'u1,i1,a,1\nu2,i2,"a\nu9,i9,b,5\n', "at byte 10, line 2"),
        (MULTILINE, b'u1,i1,a,1\nu2,i2,"a\nu9,i9,b,5\n', "at byte 10, line 2"),
        # Two stray quotes do not make a field of the lines between them.
        (MULTILINE, b'u1,i1,"a\nu2,i2,b "c" d\n', "at byte 0, line 1"),
    ],
)
def test_an_unclosed_quote_stops_the_reading(tmp_path, line_format, content, place):
    with pytest.raises(UnclosedQuote, match=place) as caught:
        read(tmp_path, content, line_format)
    assert "give `--quotes none`" in str(caught.value)


def test_quotes_may_be_characters_like_others(tmp_path):
    content = b'u1,i1,"a\nu2,i2,b\n'
    plain = CSV._replace(quotes="none")
    assert contents(read(tmp_path, content, plain)) == [b'u1,i1,"a', b"u2,i2,b"]


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none cannot be read: No such file"):
        list(read_records(str(tmp_path / "none"), LINES))
    packed = gzip.compress(b"line\n" * 1000)[:-9]
    with pytest.raises(InputError, match="log is a damaged gzip file"):
        read(tmp_path, packed, LINES._replace(container="gzip"))

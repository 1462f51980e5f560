"""Quoted fields: an action is never made of the inside of one."""

import csv
import io
import random

import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.parsers import make_parser
from beam_jobs.logs.quoting import ends_inside, field_quotes, split_columns
from beam_jobs.logs.reading import UnclosedQuote, read_records
from beam_jobs.logs.tables import find_quotes


@pytest.mark.parametrize(
    ("text", "delimiter", "columns"),
    [
        ('a,"b,c"', ",", ["a", "b,c"]),
        ('"a ""b""";;c', ";", ['a "b"', "", "c"]),
        ('a::"b::c"::d', "::", ["a", "b::c", "d"]),
        ('a  "b c"  d ', " ", ["a", "b c", "d"]),
        ("a \t b", " ", ["a", "b"]),
        ('5" nail,2', ",", ['5" nail', "2"]),
        ('a|""|b', "|", ["a", "", "b"]),
        ('"a\nb",c', ",", ["a\nb", "c"]),
    ],
)
def test_columns(text, delimiter, columns):
    assert split_columns(text, delimiter) == columns


@pytest.mark.parametrize(
    ("text", "delimiter"), [('"a"b,c', ","), ('"a"b::c', "::"), ('a "b', " ")]
)
def test_a_field_that_is_not_closed_properly_is_bad(text, delimiter):
    with pytest.raises(BadRecord, match="wrong_column_count"):
        split_columns(text, delimiter)


def test_quotes_as_characters():
    assert split_columns('"a;b";c', ";", quotes="none") == ['"a', 'b"', "c"]


@pytest.mark.parametrize(
    ("text", "closed", "is_open"),
    [
        ('"a";"b"c;d', [True, False], False),
        ('a;"b;c', [], True),
        ('a;"b""', [], True),
        ('""', [True], False),
        ('a"b;c', [], False),
    ],
)
def test_quoted_fields_of_a_line(text, closed, is_open):
    assert field_quotes(text, ";") == closed
    assert ends_inside(text, ";") == is_open


@pytest.mark.parametrize(
    ("lines", "quotes"),
    [
        (["a,b", 'a"b,c'], "inline"),
        (["a,b", '"a",c'], "multiline"),
        (['a,"b', 'c","d"', "e,f"], "multiline"),
        (['a,"Weird Al" Yankovic', "a,b"], "none"),
        (['"a",b'] * 20 + ['"a"b,c'], "multiline"),
        (['"a"b,c'] * 20 + ['"a",b'], "none"),
        (['"a"b,c', '"a",b'], None),
        # Two titles that begin with a stray quote, not one field of two lines.
        (['a,"Heroes', 'b,"Low', "c,d"], None),
    ],
)
def test_quotes_are_told_by_the_first_lines(lines, quotes):
    assert find_quotes(lines, ",") == quotes


COLUMNS = {"user": "user", "item": "item", "time": "time"}


def read(path, **options):
    line_format = decide_format(
        str(path), FormatOptions("csv", COLUMNS, **options)
    ).line_format
    parse = make_parser(line_format, with_rating=False)
    return [
        (interaction.user, interaction.item, interaction.timestamp_ms // 1000)
        for record in read_records(str(path), line_format)
        for interaction in parse(record.content)
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_pythons_csv_writes_is_read(tmp_path, delimiter):
    draw = random.Random(7)
    alphabet = f'ab"\n\r{delimiter} ,;'
    expected = [(f"u{n % 9}", f"i{n % 5}", 1_600_000_000 + n) for n in range(400)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["note", "user", "item", "time", "more"])
    for user, item, time in expected:
        note, more = ("".join(draw.choices(alphabet, k=6)) for _ in range(2))
        writer.writerow([note, user, item, time, more])
    path = tmp_path / "log"
    path.write_text(text.getvalue(), newline="")
    assert read(path) == expected


def test_a_field_that_opens_after_the_first_lines_stops_the_reading(tmp_path):
    path = tmp_path / "log"
    good = "u1,i1,1600000000,fine\n" * 300
    path.write_text(
        "user,item,time,note\n" + good + 'u2,i2,1600000001,"a\nu9,i9,1600000002,b"\n'
    )
    with pytest.raises(UnclosedQuote, match=r"log: at byte 6620, line 302,") as caught:
        read(path)
    assert "give `--quotes multiline`" in str(caught.value)
    assert read(path, quotes="multiline")[300:] == [("u2", "i2", 1_600_000_001)]


def test_quotes_that_contradict_need_a_flag(tmp_path):
    path = tmp_path / "log"
    path.write_text(
        'user,item,time,title\nu1,i1,1600000000,"Heroes\nu2,i2,1600000001,"Low\n'
    )
    with pytest.raises(InputError, match="Give `--quotes none` where quotes are"):
        read(path)
    assert len(read(path, quotes="none")) == 2


def test_a_carriage_return_in_a_line_is_bad(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(
        b"u1,i1,1600000000,x\nu1,i1,1600000000,y\ru9,i9,1600000001,z\nu2,i2,1600000002\n"
    )
    options = FormatOptions("csv", {"user": "0", "item": "1", "time": "2"})
    line_format = decide_format(str(path), options).line_format
    parse = make_parser(line_format, with_rating=False)
    records = list(read_records(str(path), line_format))
    assert len(records) == 3
    with pytest.raises(BadRecord, match="a carriage return in the line"):
        parse(records[1].content)

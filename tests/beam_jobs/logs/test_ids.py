"""Missing ids, ids as numbers, and what to do about bad ones."""

import json
import re
import subprocess

import pytest

from beam_jobs.logs.checks import parse_first_lines
from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.line_format import LineFormat
from beam_jobs.logs.log_file import LogFile
from beam_jobs.logs.parsers import make_parser
from beam_jobs.logs.remedies import remedy

MISSING = ("NA", "")
CSV = LineFormat("csv", "delimited", rating=None, time=2, num_columns=3)
RECORD = LineFormat("json", "record", fields=("u", "i", "t"), time_unit="auto")


def ids(line_format, line, null_ids=MISSING):
    parse = make_parser(line_format._replace(null_ids=null_ids), with_rating=False)
    return [interaction[:2] for interaction in parse(line)]


@pytest.mark.parametrize(
    ("line_format", "line"),
    [
        (CSV, b"NA,i,5"),
        (CSV, b"u,,5"),
        (CSV, b"u, NA ,5"),
        (CSV, b",i,never"),
        (RECORD, b'{"u": null, "i": "a", "t": 5}'),
        (RECORD, b'{"u": "u", "i": "NA", "t": 5}'),
        (LineFormat("amazon", "json"), b'{"reviewerID": "", "asin": "B"}'),
        (LineFormat("sequences", "sequences"), b"NA a b"),
    ],
)  # fmt: skip
def test_a_missing_id_is_no_action_and_no_bad_record(line_format, line):
    assert ids(line_format, line) == []


def test_the_other_lines_stay(tmp_path):
    assert ids(CSV, b"NAN,i,5") == [("NAN", "i")]
    assert ids(CSV, b"NA,i,5", null_ids=()) == [("NA", "i")]
    sequence = LineFormat("sequences", "sequences")
    assert ids(sequence, b"u a NA b") == [("u", "a"), ("u", "b")]
    with pytest.raises(BadRecord, match="empty_id"):
        ids(CSV, b",i,5", null_ids=("NA",))


def test_blanks_around_an_id_are_no_part_of_it():
    assert ids(CSV, b" u1, i1 , 1600000000") == [("u1", "i1")]
    for line in (b'u1, "i1",5', b"u1,a b,5", b"u1, ,5"):
        with pytest.raises(BadRecord):
            ids(CSV, line, null_ids=())


@pytest.mark.parametrize("value", [17850, 17850.0, "17850"])
def test_a_number_of_json_is_an_id(value):
    line = json.dumps({"u": value, "i": "a", "t": 5}).encode()
    assert ids(RECORD, line) == [("17850", "a")]


@pytest.mark.parametrize("value", [17850.5, True, None, [1]])
def test_other_values_of_json_are_none(value):
    line = json.dumps({"u": value, "i": "a", "t": 5}).encode()
    with pytest.raises(BadRecord, match="wrong_type"):
        ids(RECORD, line, null_ids=())


def test_ids_of_csv_are_texts():
    assert ids(CSV, b"17850.0,00123,5") == [("17850.0", "00123")]


def first_lines(path, *columns, **options):
    roles = dict(zip(("user", "item", "time"), columns, strict=True))
    fit = decide_format(str(path), FormatOptions("csv", roles, **options))
    return parse_first_lines(LogFile(str(path), "log", 0, fit.line_format))


def test_the_command_for_ids_with_blanks_works(tmp_path):
    path = tmp_path / "a log"
    path.write_text("who|what it is|when\nu1|Red Shoe|1600000000\n")
    with pytest.raises(InputError, match="Ids may hold no blanks") as caught:
        first_lines(path, "who", "what it is", "when")
    command = re.findall(r"`(cat .*?)`", str(caught.value))[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    (action,) = first_lines(tmp_path / "a log.ids", "who", "what it is", "when")
    assert action.item == "Red_Shoe"


def test_the_command_for_latin_1_works(tmp_path):
    path = tmp_path / "log"
    path.write_bytes("who;what;when\nZoë;i1;1600000000\n".encode("latin-1"))
    with pytest.raises(InputError, match="Logs must be UTF-8") as caught:
        first_lines(path, "who", "what", "when")
    command = re.findall(r"`(iconv .*?)`", str(caught.value))[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    (action,) = first_lines(tmp_path / "log.utf8", "who", "what", "when")
    assert action.user == "Zoë"


@pytest.mark.parametrize("first", ["sep=;\n", "# a log\n\n# of ours\n"])
def test_the_command_for_lines_above_the_header_works(tmp_path, first):
    path = tmp_path / "log"
    path.write_text(first + "who;what;when\nu1;i1;1600000000\n")
    with pytest.raises(InputError, match="has its header in line") as caught:
        first_lines(path, "who", "what", "when")
    command = re.findall(r"`(cat .*?)`", str(caught.value))[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    assert len(first_lines(tmp_path / "log.csv", "who", "what", "when")) == 1


def test_the_command_for_times_that_blanks_divide_works(tmp_path):
    path = tmp_path / "log"
    path.write_text("u1 i1 2010-12-01 8:26:00\nu2 i1 2010-12-01 18:27:00\n")
    with pytest.raises(InputError, match="blanks divide the columns") as caught:
        first_lines(path, "0", "1", "2")
    command = re.findall(r"`(cat .*?)`", str(caught.value))[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    actions = first_lines(tmp_path / "log.joined", "0", "1", "2")
    assert [action.timestamp_ms for action in actions] == [1291191960000, 1291228020000]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("empty_id", "`--null_ids ''`"),
        ("bad_time", "--time_format"),
        ("wrong_column_count", "--delimiter"),
        ("not_json", "--format"),
    ],
)
def test_a_remedy_fits_its_reason(reason, words):
    assert words in remedy("log", CSV, reason)


@pytest.mark.parametrize(
    ("first", "is_header"),
    [
        ("who,what,when", True),
        ("user1,item2,timestamp", True),
        ("u1,i1,NA", False),
        ("u1,i1,", False),
        ("u1,i1,yesterday", False),
        ("u1,i1,1600000000", False),
    ],
)
def test_a_header_above_positions(tmp_path, first, is_header):
    path = tmp_path / "log"
    path.write_text(f"{first}\nu1,i1,1600000000\nu2,i1,1600000001\n")
    options = FormatOptions("csv", {"user": "0", "item": "1", "time": "2"})
    assert decide_format(str(path), options).line_format.has_header == is_header

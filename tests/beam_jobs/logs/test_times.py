import re

import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.interactions import BadRecord
from beam_jobs.logs.times import fitting_forms, make_time_parser

# Right values: `date -u -d TEXT +%s`.
TIMES = [
    ("iso8601", "2001-01-01T01:00:00+01:00", 978307200000),
    ("iso8601", "2001-01-01 00:00:00.250 UTC", 978307200250),
    ("rfc2822", "Mon, 01 Jan 2001 01:00:00 +0100", 978307200000),
    ("rfc2822", "1 Jan 2001 00:00:00 GMT", 978307200000),
    ("%m/%d/%Y %H:%M", "12/1/2010 8:26", 1291191960000),
    ("%d.%m.%Y", "31.01.2016", 1454198400000),
    ("%m/%d/%Y %I:%M:%S %p", "11/11/2019 9:05:58 AM", 1573463158000),
    ("%a %b %d %H:%M:%S %z %Y", "Tue Apr 03 18:00:09 +0200 2012", 1333468809000),
    ("%Y%m%d", "20160131.0", 1454198400000),
]


@pytest.mark.parametrize(("form", "text", "expected"), TIMES)
def test_a_time_of_a_form(form, text, expected):
    assert make_time_parser("auto", form)(text) == expected


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("us", "1600000000123456", 1600000000123),
        ("ns", "1600000000123456789", 1600000000123),
        ("ms", "5", 5),
        ("s", "1.6e9", 1600000000000),
    ],
)
def test_a_time_of_a_unit(unit, text, expected):
    assert make_time_parser(unit, None)(text) == expected


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%m/%d/%Y", "13/1/2010"),
        ("%m/%d/%Y", ""),
        ("%Y-%m-%d", "1969-12-31"),
        ("rfc2822", "yesterday"),
        ("rfc2822", "99 Jan 2001 00:00:00 GMT"),
        ("iso8601", "1600000000"),
    ],
)
def test_a_time_of_another_form_is_bad(form, text):
    with pytest.raises(BadRecord, match="bad_time"):
        make_time_parser("auto", form)(text)


@pytest.mark.parametrize(("form", "text", "expected"), TIMES)
def test_a_form_is_found(form, text, expected):
    if not text.endswith(".0"):
        assert form in fitting_forms([text])


def test_a_later_day_tells_month_from_day():
    assert fitting_forms(["1/2/2010"]) == ["%m/%d/%Y", "%d/%m/%Y"]
    assert fitting_forms(["1/2/2010", "1/13/2010"]) == ["%m/%d/%Y"]


def decide(tmp_path, times, **options):
    path = tmp_path / "log"
    rows = [f"u{n},i{n % 3},{time}\n" for n, time in enumerate(times)]
    path.write_text("user,item,at\n" + "".join(rows))
    columns = {"user": "user", "item": "item", "time": "at"}
    return decide_format(str(path), FormatOptions("csv", columns, **options))


DOUBTFUL = {
    "ratings": ([5, 3, 4, 1], "they look like ratings or counts"),
    "zeros": ([0] * 9, "between 1970-01-01 00:00:00 and 1970-01-01 00:00:00"),
    "clocks of sessions": ([17100868, 93100000, 99999999], "a clock that begins with"),
    "days since 1970": ([16000, 16432, 17001], "may be days since 1970"),
    "days of a spreadsheet": ([42000.5, 42001.25], "days since 1900, of a spreadsheet"),
    "years": ([2011, 2014, 2009], "they look like years"),
    "dates without times": (["1970-01-01"] * 3, "before any log of the web"),
    "mostly early": ([5, 6, 7, 1600000000], "before any log of the web"),
    "dates in digits": ([20160131, 20160201], "give `--time_format %Y%m%d`"),
    "dates as floats": (["20200705.0"], "give `--time_format %Y%m%d`"),
    "minutes in digits": ([201601312359], "give `--time_format %Y%m%d%H%M`"),
    "seconds in digits": ([20160131235959], "give `--time_format %Y%m%d%H%M%S`"),
    "months": ([201601, 201602], "look like years and months"),
    "microseconds": ([1600000000000000], "2020-09-13: give `--time_unit us`"),
    "nanoseconds": ([1600000000 * 10**9], "give `--time_unit ns`"),
    "a spreadsheet": (["9.64983E+08", "9.64984E+08"], "have lost digits"),
    "a European one": (["9,64983E+08"], "have lost digits"),
    "32-bit floats": (
        [1400000000 + 128 * (n * n % 97) - 1400000000 % 128 for n in range(60)],
        "all are multiples of 128, as 32-bit floats of seconds",
    ),
    "US dates": (["12/1/2010 8:26", "12/13/2010 10:03"], "'%m/%d/%Y %H:%M'`"),
    "days that may be months": (
        ["1/2/2010"],
        "give `--time_format '%m/%d/%Y'` or `--time_format '%d/%m/%Y'`",
    ),
    "RFC 2822": (["Mon, 01 Jan 2001 01:00:00 +0100"], "give `--time_format 'rfc2822'`"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_column_that_cannot_be_times_is_refused(tmp_path, name):
    times, words = DOUBTFUL[name]
    seen = rf"log: the times of column 2 \(at\), such as {re.escape(str(times[0]))}"
    times = [f'"{time}"' if "," in str(time) else time for time in times]
    with pytest.raises(InputError, match=seen) as caught:
        decide(tmp_path, times)
    assert words in str(caught.value)


SOUND = {
    "seconds": [1600000000, 978300760],
    "old logs": [100000000],
    "milliseconds": [1600000000000],
    "every day": [1390000000 + 86400 * n for n in range(50)],
    "every thousand seconds": [1600000000 + 1000 * n for n in range(50)],
    "powers of two apart": [1600000000 + 256 * n for n in range(50)],
    "Java's doubles": [f"1.39686786927{n}E9" for n in range(9)],
    "Java's days": ["1.39104E9", "1.3911264E9"],
    "some missing": [0, 1600000000, 1600000001],
    "ISO dates": ["2016-01-31", "2016-01-31T10:00:00Z"],
    # What cannot be read at all is told by the first lines, with its reason.
    "words": ["yesterday", "today"],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_column_of_times_passes(tmp_path, name):
    decide(tmp_path, SOUND[name])


def test_the_user_may_say_what_the_numbers_are(tmp_path):
    for time_unit in ("s", "ms"):
        assert decide(tmp_path, [5, 3], time_unit=time_unit).line_format.time_unit == (
            time_unit
        )
    assert decide(tmp_path, [20160131], time_format="%Y%m%d").line_format.time_format


def test_another_column_of_times_is_named(tmp_path):
    path = tmp_path / "log"
    path.write_text("sessionId;itemId;clock;date\n1;2;526309;2016-05-09\n")
    columns = {"user": "sessionId", "item": "itemId", "time": "clock"}
    flags = "user=sessionId,item=itemId,time=date"
    with pytest.raises(InputError, match=f"--delimiter semicolon --columns {flags}`"):
        decide_format(str(path), FormatOptions("csv", columns))


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("user_id,parent_asin,rating,timestamp\nA,B,5.0,1588687728\n", "unit s`"),
        ("1::2::3::1588687728000\n", "unit ms`"),
        ("1::2::3::4\n", "they look like ratings"),
    ],
)
def test_times_of_known_formats_are_looked_at_too(tmp_path, content, remedy):
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(InputError, match=remedy):
        decide_format(str(path), FormatOptions())


def test_json_times_are_looked_at(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"u": "a", "i": "b", "t": 4}\n')
    columns = {"user": "u", "item": "i", "time": "t"}
    with pytest.raises(InputError, match="the times of t, such as 4, lie"):
        decide_format(str(path), FormatOptions("json", columns))

import gzip

import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format

CSV_2014 = "A1YJEY40YUW4SE,7806397051,5.0,1391040000\nA60XNB876KYML,B00004U9V2,3.0,1\n"
CSV_2018 = "7806397051,A1YJEY40YUW4SE,5.0,1391040000\nB00004U9V2,A60XNB876KYML,3.0,1\n"
FITS = {
    "amazon 2014": (
        '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1, "overall": 5}\n',
        ("amazon", "json"),
    ),
    "amazon 2023": (
        '{"user_id": "A1", "parent_asin": "B1", "timestamp": 1}\n',
        ("amazon", "json"),
    ),
    "ratings 2014": (CSV_2014, ("amazon", 0, 1)),
    "ratings 2018": (CSV_2018, ("amazon", 1, 0)),
    "movielens ::": ("1::1193::5::978300760\n", ("movielens", "::")),
    "movielens tab": ("196\t242\t3\t881250949\n", ("movielens", "\t")),
    "movielens csv": (
        "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n",
        ("movielens", ","),
    ),
    "sequences": ("u1 a b c\nu2 b c\n", ("sequences",)),
    "show": ("u1\ta b c\nu2\tb c\n", ("sequences",)),
}


def described(line_format):
    if line_format.shape == "sequences":
        return (line_format.name,)
    if line_format.shape == "json":
        return (line_format.name, "json")
    if line_format.name == "amazon":
        return (line_format.name, line_format.user, line_format.item)
    return (line_format.name, line_format.delimiter)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FITS)
def test_auto_decides_by_content(tmp_path, name, packed):
    text, expected = FITS[name]
    path = tmp_path / "log.misleading.csv"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    line_format, reason = decide_format(str(path), FormatOptions())
    assert described(line_format) == expected
    assert reason
    # The family named outright comes to the same.
    assert decide_format(str(path), FormatOptions(expected[0]))[0] == line_format


def decide(tmp_path, text, name="auto", columns=None):
    path = tmp_path / "log"
    path.write_text(text)
    return decide_format(str(path), FormatOptions(name, columns))


def test_auto_outvotes_a_few_bad_lines(tmp_path):
    text = "garbage\n" + FITS["movielens ::"][0] * 3
    assert decide(tmp_path, text)[0].delimiter == "::"


def test_auto_refuses_two_formats(tmp_path):
    columns = {"user": "userId", "item": "movieId", "time": "timestamp"}
    with pytest.raises(InputError, match=r"movielens .* and csv .*--format"):
        decide(tmp_path, FITS["movielens csv"][0], columns=columns)


def test_auto_refuses_what_fits_no_format(tmp_path):
    with pytest.raises(InputError, match=r"fits none of .*First line: 'a;b;c'"):
        decide(tmp_path, "a;b;c\n")
    with pytest.raises(InputError, match="fits none"):
        decide(tmp_path, '{"user": "a b", "item": "c", "ts": 1}\n')


def test_a_file_without_lines_has_no_format(tmp_path):
    assert decide(tmp_path, "\n\n") is None


@pytest.mark.parametrize(
    "text", ["u1,i1,5,1\n", "B00004U9V2,B00004U9V3,5,1\n", CSV_2014 + CSV_2018]
)
def test_undecidable_columns_are_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"--columns user=0,item=1,time=3"):
        decide(tmp_path, text, "amazon")


def test_columns_by_name(tmp_path):
    columns = {"user": "who", "item": "what", "time": "when", "rating": "stars"}
    line_format, _ = decide(
        tmp_path, "when,stars,who,what,x\n1600000000,2,3,4,5\n", "csv", columns
    )
    assert (line_format.user, line_format.item, line_format.time) == (2, 3, 0)
    assert (line_format.rating, line_format.num_columns) == (1, 5)
    assert line_format.has_header
    assert decide(tmp_path, "when,stars,who,what\n1600000000,2,3,4\n", "auto", columns)


def test_columns_by_position(tmp_path):
    columns = {"user": "2", "item": "0", "time": "1"}
    line_format, _ = decide(tmp_path, "i,1600000000,u\n", "csv", columns)
    assert (line_format.user, line_format.item, line_format.time) == (2, 0, 1)
    assert not line_format.has_header


def test_a_column_that_is_not_there(tmp_path):
    columns = {"user": "who", "item": "what", "time": "when"}
    with pytest.raises(InputError, match=r"no column 'when'.*Its header: who,what,at"):
        decide(tmp_path, "who,what,at\n", "csv", columns)
    with pytest.raises(InputError, match="more than one column 'who'"):
        decide(tmp_path, "who,what,when,who\n", "csv", columns)


def test_movielens_of_another_shape_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no MovieLens log"):
        decide(tmp_path, "1;2;3;4\n", "movielens")

"""Tables without times: refused, with a command that makes sequences of them."""

import gzip
import re
import subprocess

import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format

TABLES = {
    "pairs": (b"1 10\n2 11\n1 12\n", ["1 10 12", "2 11"]),
    "pairs by TAB": (b"1\t10\n2\t11\n", ["1 10", "2 11"]),
    "weights": (b"2\t51\t13883\r\n3\t52\t11690\r\n", ["2 51", "3 52"]),
    "a header": (
        b"userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n",
        ["2 51 52"],
    ),
    "quoted": (
        b'"User-ID";"ISBN";"Book-Rating"\r\n"276725";"034545104X";"0"\r\n',
        ["276725 034545104X"],
    ),
    "pipes": (b"a|x|1\nb|y|2\n", ["a x", "b y"]),
    "double colons": (b"a::x::1\nb::y::2\n", ["a x", "b y"]),
    "carriage returns": (b"a,x,1\rb,y,2\r", ["a x", "b y"]),
    "packed": (gzip.compress(b"a,x,1\nb,y,2\n"), ["a x", "b y"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_command_makes_sequences(tmp_path, name):
    content, expected = TABLES[name]
    path = tmp_path / "a log"
    path.write_bytes(content)
    with pytest.raises(InputError, match="None of its columns is a time") as caught:
        decide_format(str(path), FormatOptions())
    command = re.findall(r"`((?:cat|gunzip) .*?)`", str(caught.value))[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    made = tmp_path / "a log.sequences"
    assert sorted(made.read_text().splitlines()) == expected
    fit = decide_format(str(made), FormatOptions("sequences"))
    assert fit.line_format.shape == "sequences"

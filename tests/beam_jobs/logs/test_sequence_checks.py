import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.format_options import FormatOptions
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.sequence_checks import doubt_sequences


def numbered(pattern, number=20):
    return [pattern.format(n=n, odd=2 * n + 1, few=n % 3) for n in range(number)]


SEQUENCES = {
    "numbers": ["0 0 1 2 3", "1 4 5", "2 1 9 4 5 6"],
    "one letter": ["u1 a b c", "u2 b c"],
    "as printed by show": ["u1\ta b c", "u2\tb c"],
    "TAB throughout": ["u1\ta1\tb1\tc1", "u2\tb1\tc1"],
    "mixed capitals": ["u1 dQwxwFWgXcQ abcDEfghIJK", "u2 dQwxwFWgXcQ kJXpqRlmnOP abB"],
    "a few users without items": ["u1 a b c", "u2", "u3 b c a d", "u4 c"],
    # The first column of items is full of numbers as large as times, not all of them.
    "ids of ten digits": ["a 706016001 108775015 9", "b 915529005 706016001"],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_evidence_of_sequences(name):
    assert doubt_sequences(SEQUENCES[name]) is None


OTHERS = {
    "a letter": (
        ["Good morning", "the invoice of March is attached", "Kind regards", "Paul"],
        "words of prose",
    ),
    "German": (["Guten Tag", "die Rechnung ist nicht bezahlt", "Grüße"], "of prose"),
    "Japanese": (["こんにちは 世界 です", "さようなら 世界"], "words"),
    "names": (["Alice met Bob", "Bob met Carol again", "Carol left"], "are words"),
    "code": (["x = 1", "y = x + 1", "z = x"], "are signs, such as '='"),
    "more code": (["#define A 1", "#define B A", "#endif A C"], "begins 2 lines"),
    "comments": (["# a 1", "u1 a 1 3", "u2 a 1"], "signs of code or comments"),
    "a table with empty cells": (["1\t\tA", "2\t3\tA", "4\t\tB"], "have 2 tabs"),
    "a header": (["user_id items", "1 3 4", "2 4 5 6"], "words of a header: user_id"),
    "pairs": (["1 10", "2 11", "3 10"], "every line holds one item"),
    "pairs of one user": (["1 10", "1 11", "2 10"], "'1' begins 2 lines"),
    "three columns": (numbered("u{n} i{few} {n}"), "20 of 20 lines have 3 columns"),
    "a table below a title": (["made by us", *numbered("{n} {few} 5")], "3 columns"),
    "an access log": (
        [
            *numbered("10.0.0.{n} - - [10/Oct/2000:13:55:36] /a{few} 200"),
            "10.0.1.1 - - [10/Oct/2000:13:55:36] /a1 200 2326",
            "10.0.1.2 - - [10/Oct/2000:13:55:36] /a1 200 2326 12",
            "10.0.1.3 - - [10/Oct/2000:13:55:36] /a1",
        ],
        "column 3 has times",
    ),
    "a log of a program": (
        ["2024-01-01T00:00:00Z start 1", "2024-01-01T00:00:01Z stop 1 of 2"],
        "column 0 has times",
    ),
    "items and times in turn": (
        ["u1 i1 1600000000", "u2 i1 1600000100 i2 1600000200"],
        "column 2 has times",
    ),
    "behaviours of MIND": (
        [
            "1\tU13740\t11/11/2019 9:05:58 AM\tN1 N2 N4\tN3-1",
            "2\tU91\t11/12/2019 6:11:30 PM\tN1\tN3-0 N2-0",
            "3\tU92\t11/12/2019 6:11:30 PM\tN1\tN3-0",
        ],
        "3 of 3 lines have 4 tabs",
    ),
    "weights": (["1 3:0.5 7:1.2", "2 3:0.1"], "item:weight pairs"),
    "vectors": (["w1 0.1 0.2 0.5", "w2 0.1 0.3", "w3 0.1"], "look like decimals"),
    "nothing comes again": (["u1 a1 b1", "u2 c1", "u3 d1 e1 f1"], "0 are in another"),
    "one line": (["u1 a b c"], "one line shows no item"),
    "commas": (["u1 a,b", "u2 a,c,d"], "most lines are not"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_sequences(name):
    lines, doubt = OTHERS[name]
    assert doubt in doubt_sequences(lines)


def decide(tmp_path, content, name="sequences"):
    path = tmp_path / "log"
    path.write_text(content)
    return decide_format(str(path), FormatOptions(name))


def test_sequences_by_name_need_less_evidence(tmp_path):
    for content in ("u1 a\n", "u1 a b\nu2 c d\n", "the user has words\n"):
        assert decide(tmp_path, content).line_format.shape == "sequences"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("SessionId ItemId\n1 2\n", "words of a header, SessionId ItemId"),
        ("u1\ti1,i2\nu2\t[i2,i3]\n", r"`cat .* \| tr -d '\[\]\"' \| tr ',;\|' ' ' >"),
    ],
)
def test_sequences_by_name_that_are_none(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        decide(tmp_path, content)

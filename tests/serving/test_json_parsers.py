"""A body that is read in pieces means what it means when it is read at once.

Long bodies are read in pieces. The bodies here are short, so that what is expected can
be written out; pieces of a few characters cut them at every place.
"""

import json

import pytest

from serving.servables import json_text
from serving.status import StatusError
from tests.serving import inside
from tests.serving.export_requests import HISTORY

GOOD = {
    '{"inputs": [1, -2, 0, -0, 3.5, 1e3, 25E-2, -1.5e+2]}': [
        *(1, -2, 0, 0, 3.5, 1000.0, 0.25, -150.0)
    ],
    '{"inputs": [9223372036854775808, 123456789012345678901234567890]}': [
        *(2**63, 123456789012345678901234567890)
    ],
    '{"inputs": [NaN, Infinity, -Infinity, 1]}': [
        *(float("nan"), float("inf"), float("-inf"), 1)
    ],
    '{"inputs": [true, false, null, "true", "", " "]}': [
        *(True, False, None, "true", "", " ")
    ],
    '{"inputs": ["],[", "},{", "],", "},", "[1,2]", "\\"", "\\\\", "\\\\\\"],"]}': [
        *("],[", "},{", "],", "},", "[1,2]", '"', "\\", '\\"],')
    ],
    '{"inputs": ["\\u00e9\\n\\t\\/", "\\ud83d\\ude00", "\\ud800"]}': [
        *("\u00e9\n\t/", "\U0001f600", "\ud800")
    ],
    '{"inputs": ["\u00e9", "\u65e5", "\U0001f600,"]}': [
        "\u00e9",
        "\u65e5",
        "\U0001f600,",
    ],
    '{"inputs": [[], [[]], [1, [2, [3]]], [4], {}, {"a": [5]}]}': [
        *([], [[]], [1, [2, [3]]], [4], {}, {"a": [5]})
    ],
    '{"inputs": [{"a": 1, "a": 2}, {"b": {"c": [{}, {"d": "},"}]}}]}': [
        *({"a": 2}, {"b": {"c": [{}, {"d": "},"}]}})
    ],
    ' \t\r\n{ "inputs"\n:\t[ 1 ,2\r\n,\t3 , [ ] , [ 4 ] ] } \n': [1, 2, 3, [], [4]],
    '{"inputs": [1], "inputs": [2, 3, 4, 5]}': [2, 3, 4, 5],
    '{"inputs": []}': [],
    '{"inputs": 7}': 7,
}
BAD = {
    '{"inputs": [1, 2, 3,]}': "Expecting value at offset: 20",
    '{"inputs": [,1, 2, 3]}': "Expecting value at offset: 12",
    '{"inputs": [1,, 2, 3]}': "Expecting value at offset: 14",
    '{"inputs": [1, 2 3, 4]}': "Expecting ',' delimiter at offset: 17",
    '{"inputs": [1, 2, 3': "Expecting ',' delimiter at offset: 19",
    '{"inputs": [1, 2, 3]': "Expecting ',' delimiter at offset: 20",
    '{"inputs": [1, 2, 3]]': "Expecting ',' delimiter at offset: 20",
    '{"inputs": [1, 2, 3]}}': "Extra data at offset: 21",
    '{"inputs": [1, 2, 3]} {}': "Extra data at offset: 22",
    '{"inputs": [1, [2, 3}, 4]}': "Expecting ',' delimiter at offset: 20",
    '{"inputs": [1, 02, 3]}': "Expecting ',' delimiter at offset: 16",
    '{"inputs": [1, +2, 3]}': "Expecting value at offset: 15",
    '{"inputs": [1, .5, 3]}': "Expecting value at offset: 15",
    '{"inputs": [1, 2., 3]}': "Expecting ',' delimiter at offset: 16",
    '{"inputs": [1, 0x2, 3]}': "Expecting ',' delimiter at offset: 16",
    '{"inputs": [1, 1e400, 3]}': "Number too big to be stored in double.",
    '{"inputs": [1, -1e400, 3]}': "Number too big to be stored in double.",
    '{"inputs": [1, nul, 3]}': "Expecting value at offset: 15",
    '{"inputs": [1, True, 3]}': "Expecting value at offset: 15",
    "{\"inputs\": [1, 'a', 3]}": "Expecting value at offset: 15",
    '{"inputs": ["a", "b, 3]}': "Unterminated string starting at at offset: 17",
    '{"inputs": ["a", "\\x", 3]}': "Invalid \\escape at offset: 18",
    '{"inputs": ["a", "\\u12", 3]}': "Invalid \\uXXXX escape at offset: 19",
    '{"inputs": ["a", "b\nc", 3]}': "Invalid control character at at offset: 19",
    '{"inputs": [1, /* 2 */ 3]}': "Expecting value at offset: 15",
    '{"inputs": [{"a":}, {}]}': "Expecting value at offset: 17",
    '{"inputs": [{"a" 1}, {}]}': "Expecting ':' delimiter at offset: 17",
    '{"inputs": [{}, {a: 1}]}': (
        "Expecting property name enclosed in double quotes at offset: 17"
    ),
    '{"inputs": [{}, {"a": 1,}]}': (
        "Expecting property name enclosed in double quotes at offset: 24"
    ),
    '{"inputs" [1, 2, 3, 4]}': "Expecting ':' delimiter at offset: 10",
    '\ufeff{"inputs": [1, 2, 3]}': "Expecting value at offset: 0",
    '{"inputs": ' + "[" * 10_000: "nested too deep",
}


@pytest.fixture
def in_pieces(monkeypatch):
    """Sets the length of a piece; arrays are read so from their first element on."""

    def set_length(length):
        monkeypatch.setattr(json_text, "_PIECE", length)
        monkeypatch.setattr(json_text, "_PATIENCE", 1)

    return set_length


@pytest.mark.parametrize("body", GOOD)
def test_all_ways_of_reading_give_one_value(body, in_pieces):
    expected = repr(GOOD[body])  # NaN equals nothing
    assert repr(json_text.parse(body.encode("utf-8"))["inputs"]) == expected
    for length in range(1, len(body)):
        in_pieces(length)
        assert repr(json_text.parse(body.encode("utf-8"))["inputs"]) == expected, length


def refusal(body):
    with pytest.raises(StatusError) as caught:
        json_text.parse(body)
    return caught.value.message


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:30])
def test_all_ways_of_reading_refuse_in_one_text(body, in_pieces):
    expected = f"JSON Parse error: {BAD[body]}"
    assert refusal(body.encode("utf-8")) == expected
    for length in range(1, min(len(body), 60)):
        in_pieces(length)
        assert refusal(body.encode("utf-8")) == expected, length


LONG = "x" * 70_000
"""A string of more than a piece, in which no comma ends one."""


@pytest.mark.parametrize("end", ['"]}', '"]', '"]]', '"', "", '",]}', '", 1 2]}'])
def test_strings_longer_than_a_piece_are_read_alike(end, monkeypatch):
    body = f'{{"inputs": [{"1, " * 300}"{LONG}{end}'.encode()

    def outcome():
        try:
            return json_text.parse(body)
        except StatusError as error:
            return error.message

    in_pieces = outcome()
    monkeypatch.setattr(json_text, "_PIECE", 2**20)
    assert in_pieces == outcome()
    if end == '"]}':
        assert in_pieces == {"inputs": [1] * 300 + [LONG]}


ROW = json.dumps(HISTORY)
OVER_REST = {
    f'{{"instances": [{ROW}, {ROW}]}}': 200,
    f'{{"inputs": {{"history": [{ROW}]}}}}': 200,
    f'{{"instances": [{ROW}, ["item-3"]]}}': 400,
    f'{{"instances": [{ROW}, [7]]}}': 400,
    f'{{"instances": [{ROW}], "inputs": 1}}': 400,
    f'{{"signature_name": "none", "instances": [{ROW}]}}': 400,
    f'{{"instances": [{ROW},]}}': 400,
    '{"instances": [NaN]}': 400,
    "[1]": 400,
}


def test_bodies_of_any_length_are_answered_alike(served_export):
    flags = ("--model_name", "demo", "--model_base_path", served_export.export_dir)
    with inside.server(*flags) as server:
        for body, status in OVER_REST.items():
            short = server.http("POST", "/v1/models/demo:predict", body)
            long = server.http("POST", "/v1/models/demo:predict", body + " " * 70_000)
            assert short[0] == status, body
            assert long == short, body

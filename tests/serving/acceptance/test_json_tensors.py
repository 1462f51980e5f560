"""JSON as TF Serving reads and writes it; texts are those on which clients match."""

import json

import pytest

from tests.serving.acceptance.asking import rest
from tests.serving.acceptance.test_predict import VALUES

DEEP = "[" * 300 + "1" + "]" * 300

ANSWERS = {
    # Name: model, body, answer.
    "row of numbers": ("identity_int32", "[[1,2],[3,4],[5,6]]", None),
    "rows of lists of lists": ("identity_int32", "[[[1,2],[3,4]],[[5,6],[7,8]]]", None),
    "integers among decimals": (
        "identity_float",
        "[1, 2.0, 3, 5.003]",
        "[1.0,2.0,3.0,5.003]",
    ),
    "integers for doubles": ("identity_double", "[1, 0.662, 0]", "[1.0,0.662,0.0]"),
    "not finite": (
        *("identity_float", "[NaN, Infinity, -Infinity, 3]"),
        "[NaN, Infinity, -Infinity, 3.0]",
    ),
    "shortest decimals": ("identity_float", "[0.2, 3e-05, 9e+06, 555557.5]", None),
    "largest whole float": (
        *("identity_float", "[16777215, -16777215]"),
        "[16777215.0, -16777215.0]",
    ),
    "largest whole double": ("identity_double", "[9007199254740991.0]", None),
    "truths": ("identity_bool", "[[true],[false]]", None),
    "text": ("identity_string", '["a", "", "\\u00e9", "a\\u0000b"]', None),
    "base64": (
        *("identity_string", '[{"b64":"aGVsbG8="}, {"b64":"d29ybGQ="}]'),
        '["hello","world"]',
    ),
    "base64 in lists": (
        *("identity_string", '[[{"b64":"aGVsbG8="}], [{"b64":"d29ybGQ="}]]'),
        '[["hello"],["world"]]',
    ),
    "base64 beside text": (
        *("identity_string", '[["a", {"b64":"aGVsbG8="}]]'),
        '[["a","hello"]]',
    ),
    "empty rows": ("identity_int32", "[[],[]]", None),
    "empty lists in rows": ("identity_float", "[[[],[]]]", None),
    "sixteen deep": ("identity_int32", "[" * 16 + "7" + "]" * 16, None),
    "blanks and line ends": ("identity_int32", " [ 1 ,\n2\t] ", "[1,2]"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_rows_are_answered(server, name):
    model, sent, expected = ANSWERS[name]
    status, document = rest(server, model, f'{{"instances": {sent}}}')
    assert status == 200, document
    # As text: NaN equals no NaN, and 1 must not be 1.0.
    wanted = json.loads(expected or sent)
    assert json.dumps(document) == json.dumps({"predictions": wanted})


def test_halves_are_numbers_here(own_server):
    answer = rest(own_server, "identity_half", '{"instances": [0.5, 1, -2.25]}')
    assert answer == (200, {"predictions": [0.5, 1.0, -2.25]})


COLUMNS = {
    "a list": ("identity_int32", "[[1,2],[3,4]]", None),
    "a number alone": ("identity_int32", "7", None),
    "text alone": ("identity_string", '"a"', None),
    "base64 alone": ("identity_string", '{"b64":"aGVsbG8="}', '"hello"'),
    "no values": ("identity_float", "[]", None),
    "no rows of lists": ("identity_float", "[[]]", None),
    "by its name": ("identity_int32", '{"x": [[1],[2]]}', "[[1],[2]]"),
    "base64 by its name": ("identity_string", '{"x": {"b64":"aGVsbG8="}}', '"hello"'),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_answered(server, name):
    model, sent, expected = COLUMNS[name]
    status, document = rest(server, model, f'{{"inputs": {sent}}}')
    assert status == 200, document
    wanted = json.loads(expected or sent)
    assert json.dumps(document) == json.dumps({"outputs": wanted})


INTEGERS = [name for name in VALUES if "int" in name]


@pytest.mark.parametrize("name", INTEGERS)
def test_every_integer_within_its_bounds(own_server, name):
    values = VALUES[name]
    body = {"instances": values}
    assert rest(own_server, f"identity_{name}", body) == (200, {"predictions": values})
    for outside in (values[0] - 1, values[-1] + 1, 1.0, 1e3, True, "1", None):
        status, document = rest(own_server, f"identity_{name}", {"inputs": [outside]})
        assert status == 400, document
        assert f"is not of expected type: {name}" in document["error"]


REFUSED = {
    # Name: model, body, part of the text.
    "no body": ("identity_int32", "", "The document is empty"),
    "cut short": ("identity_int32", '{"instances": [1', "JSON Parse error: "),
    "two documents": ("identity_int32", '{"instances": [1]} {}', "JSON Parse error: "),
    "a list": ("identity_int32", "[1]", "Is not object"),
    "neither key": (
        "identity_int32",
        '{"x": [1]}',
        "Missing 'inputs' or 'instances' key",
    ),
    "both keys": (
        *("identity_int32", '{"instances": [1], "inputs": [1]}'),
        "Not formatted correctly expecting only one of 'inputs' or 'instances'",
    ),
    "signature by number": (
        *("identity_int32", '{"signature_name": 5, "instances": [1]}'),
        "'signature_name' key must be a string value",
    ),
    "unknown signature": (
        *("identity_int32", '{"signature_name": "no", "instances": [1]}'),
        'Serving signature name: "no" not found in signature def',
    ),
    "instances are text": (
        *("identity_int32", '{"instances": "1"}'),
        "'instances' to be an list/array",
    ),
    "no instances": ("identity_int32", '{"instances": []}', "No values in 'instances'"),
    "ragged rows": (
        *("identity_int32", '{"instances": [[1,2],[3,4],[5,6,7]]}'),
        "Failed to process element: 2 of 'instances' list. "
        "Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 3",
    ),
    "ragged in a row": (
        *("identity_int32", '{"instances": [[[1,2],[3]]]}'),
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "ragged column": (
        *("identity_int32", '{"inputs": [[1,2],[3]]}'),
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "a row that is deeper": (
        *("identity_int32", '{"instances": [[1,2],[[5,6]]]}'),
        "Expecting shape [2] but got: [1,2]",
    ),
    "a number, then a list": (
        *("identity_int32", '{"instances": [1,[1]]}'),
        "Expecting shape [] but got: [1]",
    ),
    "a list among numbers": (
        *("identity_int32", '{"inputs": [1,[1]]}'),
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    "a number among lists": (
        *("identity_int32", '{"inputs": [[1],1]}'),
        "found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    "text for a number": (
        *("identity_int32", '{"instances": ["a"]}'),
        "Type: String is not of expected type: int32",
    ),
    "a number for text": (
        *("identity_string", '{"instances": [3]}'),
        "Type: Number is not of expected type: string",
    ),
    "truth for a number": (
        *("identity_float", '{"instances": [true]}'),
        "Type: True is not of expected type: float",
    ),
    "a number for truth": (
        *("identity_bool", '{"instances": [1]}'),
        "Type: Number is not of expected type: bool",
    ),
    "null": (
        *("identity_float", '{"instances": [null]}'),
        "Type: Null is not of expected type: float",
    ),
    "an object for a number": (
        *("identity_float", '{"inputs": [{"b64": "aGVsbG8="}]}'),
        "Type: Object is not of expected type: float",
    ),
    "an object in a list": (
        *("identity_string", '{"instances": [[{"a": "b"}]]}'),
        "not formatted correctly for base64 data",
    ),
    "no base64": (
        *("identity_string", '{"instances": [{"b64": "%%%"}]}'),
        "Unable to base64 decode",
    ),
    "an object among lists": (
        *("identity_string", '{"instances": [["a"], {"x": ["b"]}]}'),
        "Expecting value/list but got object at item 1 of input list",
    ),
    "a list among objects": (
        *("identity_int32", '{"instances": [{"x": 1}, [1]]}'),
        "Expecting object but got list at item 1 of input list",
    ),
    "another key": (
        *("identity_int32", '{"instances": [{"z": 1}]}'),
        "JSON object: does not have named input: z",
    ),
    "a key too few": (
        *("many_inputs", '{"instances": [{"words": ["a"], "weight": 1}]}'),
        "keys must be equal to: numbers,weight,words",
    ),
    "rows without names": (
        *("many_inputs", '{"instances": [["a"]]}'),
        "instances is a plain list, but expecting list of objects",
    ),
    "columns without names": (
        *("many_inputs", '{"inputs": [["a"]]}'),
        "inputs is a plain value/list, but expecting an object",
    ),
    "a column is missing": (
        *("many_inputs", '{"inputs": {"words": [["a"]], "numbers": [[1]]}}'),
        "Missing named input: weight in 'inputs' object.",
    ),
    "ragged rows by name": (
        "many_inputs",
        '{"instances": [{"words": ["a"], "numbers": [1], "weight": 1}, '
        '{"words": ["a", "b"], "numbers": [1], "weight": 1}]}',
        "Failed to process element: 1 key: words of 'instances' list. "
        "Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2",
    ),
    "a number beyond doubles": (
        *("identity_double", '{"instances": [1e400]}'),
        "Number too big to be stored in double",
    ),
    "a number beyond doubles, below": (
        *("identity_float", '{"instances": [-1e400]}'),
        "Number too big to be stored in double",
    ),
    "beyond floats": (
        "identity_float",
        '{"instances": [1e39]}',
        "without loss of precision",
    ),
    "whole, beyond floats": (
        *("identity_float", '{"instances": [16777217]}'),
        "to float without loss of precision",
    ),
    "whole, beyond doubles": (
        *("identity_double", '{"instances": [9007199254740993]}'),
        "to double without loss of precision",
    ),
    "NaN for an integer": (
        *("identity_int32", '{"instances": [NaN]}'),
        "Type: Number is not of expected type: int32",
    ),
    "too deep for a tensor": ("identity_int32", f'{{"inputs": {DEEP}}}', ""),
    "an unknown key for a row": (
        *("identity_int32", '{"instances": [{"x": 1, "z": 1}]}'),
        "",
    ),
    "half of a surrogate pair": ("identity_string", '{"instances": ["\\ud800"]}', ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_body_is_refused(server, name):
    check_refusal(server, *REFUSED[name])


def check_refusal(server, model, body, text):
    status, document = rest(server, model, body)
    assert status == 400, document
    assert list(document) == ["error"] and document["error"]
    assert text in document["error"]


REFUSED_HERE = {
    "beyond halves": ("identity_half", '{"instances": [65536]}', ""),
    "too deep for a parser": (
        *("identity_int32", '{"inputs": ' + "[" * 100_000),
        "JSON Parse error: ",
    ),
    "invalid UTF-8": (
        "identity_string",
        b'{"instances": ["\xff"]}',
        "JSON Parse error: ",
    ),
}
"""Values that TF Serving has no type for, does not look at, or has no bound on."""


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_body_is_refused_here(own_server, name):
    check_refusal(own_server, *REFUSED_HERE[name])


def test_ragged_rows_are_told_what_the_model_wants(own_server):
    """The most common first error: short histories for a signature of fixed length."""
    rows = [{"history": ["a"] * 3}, {"history": ["a"] * 5}]
    status, document = rest(own_server, "demo", {"instances": rows})
    assert status == 400
    text = document["error"]
    assert "element: 1 key: history" in text
    assert "Expecting tensor size: 3 but got: 5" in text
    assert "A row of history has the shape [8] here" in text
    assert 'padded on the left with ""' in text

"""Predict of any SavedModel, over gRPC and REST."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.acceptance import models
from tests.serving.acceptance.asking import (
    TIMEOUT,
    floats,
    predict,
    predictions,
    refusal,
    request_of,
    rest,
)

HALVES = [
    ("half_plus_two", [3.0, 3.5, 4.0]),
    ("half_plus_three", [4.0, 4.5, 5.0]),
    ("half_plus_two_graph", [3.0, 3.5, 4.0]),
    ("half_plus_three_graph", [4.0, 4.5, 5.0]),
]


@pytest.mark.parametrize(("model", "expected"), HALVES)
@pytest.mark.parametrize("output_filter", [(), ("y",)])
def test_predict_saved_model(server, model, expected, output_filter):
    request = request_of(model, "", output_filter, x=floats(2, 3, 4))
    response = server.prediction.Predict(request, timeout=TIMEOUT)
    assert list(response.outputs) == ["y"]
    assert response.outputs["y"].dtype == tf.float32.as_datatype_enum
    # In the typed field, where clients without TensorFlow read.
    assert list(response.outputs["y"].float_val) == expected
    spec = response.model_spec
    assert (spec.name, spec.signature_name) == (model, "serving_default")
    assert spec.version.value == int(models.VERSION)


@pytest.mark.parametrize(("model", "expected"), HALVES)
def test_predict_rest(server, model, expected):
    body = {"instances": [2.0, 3.0, 4.0]}
    assert rest(server, model, body) == (200, {"predictions": expected})


@pytest.mark.parametrize(("model", "expected"), HALVES)
def test_predict_columnar_rest(server, model, expected):
    body = {"inputs": [2.0, 3.0, 4.0]}
    assert rest(server, model, body) == (200, {"outputs": expected})


@pytest.mark.parametrize("model", ["half_plus_three", "half_plus_three_graph"])
def test_the_documented_example_answers(server, model):
    body = {"instances": [1.0, 2.0, 5.0]}
    assert rest(server, model, body) == (200, {"predictions": [3.5, 4.0, 5.5]})


@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_graph"])
def test_inputs_are_not_compared_with_the_declared_shape(server, model):
    for x in (floats(2), np.float32(2), np.full([2, 3, 1], 2, np.float32)):
        (y,) = predict(server, model, x=x).values()
        assert y.shape == np.shape(x)
        assert (y == 3).all()


def test_predict_by_examples(server):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[2.0]))
    features = tf.train.Features(feature={"x": feature})
    example = tf.train.Example(features=features).SerializeToString()
    answer = predict(
        server, "half_plus_two_graph", "of_examples", examples=[example, b""]
    )
    assert answer["y"].tolist() == [[3.0], [2.0]]


def test_tables_and_assets_of_a_graph_are_initialized(server):
    answer = predict(server, "colours", colour=["blue", "pink", "red"])
    assert answer["number"].tolist() == [2, -1, 0]


def test_several_signatures(server):
    x = floats(1, 2)
    for signature, expected in [
        ("", {"product": [2, 4]}),
        ("plus_one", {"sum": [2, 3]}),
        ("both", {"product": [2, 4], "sum": [2, 3]}),
    ]:
        answer = predict(server, "several_signatures", signature, x=x)
        assert {name: y.tolist() for name, y in answer.items()} == expected
    body = {"signature_name": "plus_one", "instances": [1, 2]}
    assert predictions(server, "several_signatures", body) == [2, 3]
    body["signature_name"] = "both"
    assert predictions(server, "several_signatures", body) == [
        {"sum": 2.0, "product": 2.0},
        {"sum": 3.0, "product": 4.0},
    ]


def test_output_filter(server):
    answer = predict(server, "several_signatures", "both", ["sum"], x=floats(1))
    assert list(answer) == ["sum"]


def test_sequential_keras(server):
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    (y,) = predict(server, "sequential_keras", x=np.float32(rows)).values()
    np.testing.assert_allclose(y, [[5.0], [9.5]], rtol=1e-6)
    assert predictions(server, "sequential_keras", {"instances": rows}) == [[5], [9.5]]


def test_mirrored_strategy_keras(server):
    (y,) = predict(server, "mirrored_keras", x=np.float32([[2], [4]])).values()
    np.testing.assert_allclose(y, [[3.0], [4.0]], rtol=1e-6)
    assert predictions(server, "mirrored_keras", {"instances": [[2.0]]}) == [[3.0]]


def test_outputs_without_a_dimension(server):
    answer = predict(server, "scalars", x=np.int32([3, 4]))
    assert {name: value.shape for name, value in answer.items()} == dict.fromkeys(
        ("text", "sum", "is_any", "half"), ()
    )
    assert answer["text"].item() == b"sum 7"
    assert (answer["sum"], answer["is_any"], answer["half"]) == (7, True, 3.5)
    columns = {"sum": 7, "is_any": True, "text": "sum 7"}
    body = {"inputs": [3, 4], "signature_name": "text"}
    assert predictions(server, "scalars", body) == columns["text"]
    status, document = rest(server, "scalars", {**body, "instances": [3]})
    assert status == 400, document
    # Rows cannot be made of what has none.
    status, document = rest(
        server, "scalars", {"instances": [3, 4], "signature_name": "text"}
    )
    assert status in (400, 500) and "error" in document


def test_bytes_by_the_name_of_the_output(server):
    body = {"inputs": {"b64": "/wA="}, "signature_name": "name_bytes"}
    # U+00FF in UTF-8, then the two bytes.
    assert predictions(server, "scalars", body) == {"b64": "w7//AA=="}


def test_several_inputs_of_different_widths(server):
    words, numbers = [["a", "bcd"], ["", "x"]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    answer = predict(
        server,
        "many_inputs",
        words=words,
        numbers=np.float32(numbers),
        weight=floats(1, 2),
    )
    assert answer["letters"].tolist() == [4, 1]
    assert answer["weighted"].tolist() == [6, 30]
    assert answer["widths"].tolist() == [[2, 3], [2, 3]]
    rows = [
        {"words": w, "numbers": n, "weight": f}
        for w, n, f in zip(words, numbers, [1, 2], strict=True)
    ]
    assert predictions(server, "many_inputs", {"instances": rows}) == [
        {"letters": 4, "weighted": 6.0, "widths": [2, 3]},
        {"letters": 1, "weighted": 30.0, "widths": [2, 3]},
    ]
    columns = {"words": words, "numbers": numbers, "weight": [1, 2]}
    assert predictions(server, "many_inputs", {"inputs": columns}) == {
        "letters": [4, 1],
        "weighted": [6.0, 30.0],
        "widths": [[2, 3], [2, 3]],
    }


VALUES = {
    "int8": [-128, 0, 127],
    "int16": [-(2**15), 0, 2**15 - 1],
    "int32": [-(2**31), 0, 2**31 - 1],
    "int64": [-(2**63), 0, 2**63 - 1],
    "uint8": [0, 255],
    "uint16": [0, 2**16 - 1],
    "uint32": [0, 2**32 - 1],
    "uint64": [0, 2**64 - 1],
    "half": [-65504.0, 0.0, 0.5],
    "bfloat16": [-1.5, 0.0, 256.0],
    "float": [-1.5, 0.1, 3e38],
    "double": [-1.5, 0.1, 1e308],
    "bool": [True, False],
    "string": [b"", b"a\x00b", "é".encode(), b"\xff"],
}
FIELDS = {
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "half": "half_val",
    "bfloat16": "half_val",
    "float": "float_val",
    "double": "double_val",
    "bool": "bool_val",
    "string": "string_val",
}
"""Where TensorFlow's C++ writes values, by type; `int_val` unless named."""


def values_of(name):
    dtype = models.DTYPES[name].as_numpy_dtype
    return np.array(VALUES[name], object if name == "string" else dtype)


@pytest.mark.parametrize("shape", [[], [-1], [1, -1], [-1, 1, 1]])
@pytest.mark.parametrize("name", models.DTYPES)
def test_every_type_and_rank(server, name, shape):
    array = values_of(name)
    array = array.reshape(shape) if shape else array[-1:].reshape([])
    request = request_of(f"identity_{name}")
    proto = tf.make_tensor_proto(array, dtype=models.DTYPES[name], shape=array.shape)
    request.inputs["x"].CopyFrom(proto)
    response = server.prediction.Predict(request, timeout=TIMEOUT)
    output = response.outputs["y"]
    assert output.dtype == models.DTYPES[name].as_datatype_enum
    received = tf.make_ndarray(output)
    assert (received.shape, received.tolist()) == (array.shape, array.tolist())
    assert len(getattr(output, FIELDS.get(name, "int_val"))) == array.size


def test_no_values_and_few_values_of_a_message(server):
    request = request_of("identity_float")
    proto = request.inputs["x"]
    proto.dtype = tf.float32.as_datatype_enum
    proto.tensor_shape.dim.add(size=0)
    call = server.prediction.Predict
    output = call(request, timeout=TIMEOUT).outputs["y"]
    assert tf.make_ndarray(output).tolist() == []
    # One value stands for all that follow, as TensorFlow reads it.
    proto.tensor_shape.dim[0].size = 3
    proto.float_val.extend([1.0, 2.0])
    output = call(request, timeout=TIMEOUT).outputs["y"]
    assert tf.make_ndarray(output).tolist() == [1.0, 2.0, 2.0]


def test_wrong_messages_are_refused(server):
    call = server.prediction.Predict
    wrong_type = request_of("identity_float", x=["text"])
    assert refusal(call, wrong_type, timeout=TIMEOUT)[0] == "INVALID_ARGUMENT"
    negative = request_of("identity_float", x=floats(1, 2))
    negative.inputs["x"].tensor_shape.dim[0].size = -2
    assert refusal(call, negative, timeout=TIMEOUT)[0] == "INVALID_ARGUMENT"
    unknown = request_of("identity_float", x=floats(1, 2))
    unknown.inputs["x"].tensor_shape.unknown_rank = True
    del unknown.inputs["x"].tensor_shape.dim[:]
    assert refusal(call, unknown, timeout=TIMEOUT)[0] == "INVALID_ARGUMENT"
    short = request_of("identity_float", x=floats(1, 2))
    short.inputs["x"].tensor_content = b"abc"
    code, text = refusal(call, short, timeout=TIMEOUT)
    assert (code, "tensor parsing error" in text) == ("INVALID_ARGUMENT", True)
    many = request_of("many_inputs", words=[["a"]], numbers=[[1.0]])
    code, text = refusal(call, many, timeout=TIMEOUT)
    assert code == "INVALID_ARGUMENT" and "Missing but required: {weight}." in text


def test_what_tensorflow_refuses_is_the_requests_fault(server):
    request = request_of("sequential_keras", x=floats(1, 2))
    code, text = refusal(server.prediction.Predict, request, timeout=TIMEOUT)
    assert code == "INVALID_ARGUMENT" and text
    status, document = rest(server, "sequential_keras", {"instances": [[1.0], [2.0]]})
    assert status == 400 and document["error"]

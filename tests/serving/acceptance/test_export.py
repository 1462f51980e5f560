"""Behaviour of either server that the export and the client rely on."""

import base64

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests.s4rec_tf.export.standin import MAX_LENGTH
from tests.serving.export_requests import (
    HISTORY,
    example,
    golden,
    good_answer_is_right,
    predict_request,
    status_of,
    strings,
)

GOLDEN_LINES = range(14)


@pytest.mark.parametrize("number", GOLDEN_LINES)
def test_golden_request_over_grpc(server, served_export, number):
    line = golden(served_export)[number]
    inputs = dict(line["inputs"])
    if "examples" in inputs:
        inputs["examples"] = [example(row) for row in inputs["examples"]]
    request = predict_request(line["signature_name"], **inputs)
    response = server.prediction.Predict(request, timeout=30)
    assert response.model_spec.name == "demo"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == line["signature_name"]
    assert set(response.outputs) == set(line["outputs"])
    assert strings(response.outputs["item_ids"]) == line["outputs"]["item_ids"]
    for name in set(response.outputs) - {"item_ids"}:
        np.testing.assert_allclose(
            tf.make_ndarray(response.outputs[name]),
            line["outputs"][name],
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("is_row_format", [True, False])
@pytest.mark.parametrize("number", GOLDEN_LINES)
def test_golden_request_over_rest(server, served_export, number, is_row_format):
    line = golden(served_export)[number]
    inputs = dict(line["inputs"])
    if "examples" in inputs:
        inputs["examples"] = [
            {"b64": base64.b64encode(example(row)).decode()}
            for row in inputs["examples"]
        ]
    if is_row_format:
        names = sorted(inputs)
        rows = zip(*(inputs[name] for name in names), strict=True)
        body = {"instances": [dict(zip(names, row, strict=True)) for row in rows]}
    else:
        body = {"inputs": inputs}
    body["signature_name"] = line["signature_name"]
    status, answer = server.http("POST", "/v1/models/demo:predict", body)
    assert status == 200, answer
    if is_row_format:
        columns = {
            name: [row[name] for row in answer["predictions"]]
            for name in answer["predictions"][0]
        }
    else:
        columns = answer["outputs"]
    assert set(columns) == set(line["outputs"])
    assert columns["item_ids"] == line["outputs"]["item_ids"]
    assert columns["is_fallback"] == line["outputs"]["is_fallback"]
    for name in set(columns) - {"item_ids"}:
        np.testing.assert_allclose(
            columns[name], line["outputs"][name], rtol=1e-4, atol=1e-5
        )


def test_rest_with_one_input_takes_plain_lists(server, served_export):
    expected = [f"item-{i}" for i in served_export.expected([3, 9], [3, 9])[0]]
    path = "/v1/models/demo/versions/1:predict"
    status, answer = server.http("POST", path, {"instances": [HISTORY, HISTORY]})
    assert status == 200, answer
    assert [row["item_ids"] for row in answer["predictions"]] == [expected] * 2
    status, answer = server.http(
        "POST", "/V1/Models/demo:PREDICT", {"inputs": [HISTORY]}
    )
    assert status == 200, answer
    assert answer["outputs"]["item_ids"] == [expected]


def test_signature_and_version_are_resolved(server):
    request = predict_request("", history=[HISTORY])
    response = server.prediction.Predict(request, timeout=30)
    assert response.model_spec.signature_name == "serving_default"
    request.model_spec.version.value = 1
    response = server.prediction.Predict(request, timeout=30)
    assert response.model_spec.version.value == 1


def test_output_filter(server):
    request = predict_request(history=[HISTORY])
    request.output_filter.extend(["scores", "is_fallback"])
    response = server.prediction.Predict(request, timeout=30)
    assert set(response.outputs) == {"scores", "is_fallback"}


def test_metadata_describes_the_signatures(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "demo"
    request.metadata_field.append("signature_def")
    response = server.prediction.GetModelMetadata(request, timeout=30)
    assert response.model_spec.version.value == 1
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    found = {
        name: {
            key: [d.size for d in info.tensor_shape.dim]
            for key, info in s.inputs.items()
        }
        for name, s in definitions.signature_def.items()
        if not name.startswith("__")
    }
    with_k = {"history": [-1, MAX_LENGTH], "k": [-1], "exclude": [-1, -1]}
    assert found == {
        "serving_default": {"history": [-1, MAX_LENGTH]},
        "recommend": with_k,
        "recommend_with_history": with_k,
        "recommend_among": {**with_k, "allow": [-1, -1]},
        "similar_items": {"item": [-1], "k": [-1], "exclude": [-1, -1]},
        "explain": {"history": [-1, MAX_LENGTH], "item": [-1]},
        "serving_examples": {"examples": [-1]},
    }
    outputs = definitions.signature_def["recommend"].outputs
    assert {key: info.dtype for key, info in outputs.items()} == {
        "item_ids": 7,
        "scores": 1,
        "probabilities": 1,
        "user_embedding": 1,
        "is_fallback": 10,
    }
    status, document = server.http("GET", "/v1/models/demo/metadata")
    assert status == 200
    assert document["model_spec"]["version"] == "1"
    over_rest = document["metadata"]["signature_def"]["signature_def"]["recommend"]
    assert over_rest["inputs"]["k"]["dtype"] == "DT_INT32"


def test_status_says_available(server):
    entry = server.status("demo")[1]
    assert (entry.state, entry.status.error_code) == (30, 0)
    for path in ("/v1/models/demo", "/v1/models/demo/versions/1"):
        status, document = server.http("GET", path)
        assert status == 200
        (entry,) = document["model_version_status"]
        assert (entry["version"], entry["state"]) == ("1", "AVAILABLE")
        assert entry["status"]["error_code"] == "OK"


def with_filter(*names):
    request = predict_request(history=[HISTORY])
    request.output_filter.extend(names)
    return request


def with_version(version):
    request = predict_request(history=[HISTORY])
    request.model_spec.version.value = version
    return request


def with_label(label):
    request = predict_request(history=[HISTORY])
    request.model_spec.version_label = label
    return request


BAD_PREDICTS = {
    "no model spec": (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", ""),
    "unknown model": (
        predict_request(name="nope", history=[HISTORY]),
        "NOT_FOUND",
        "Servable not found for request: Latest(nope)",
    ),
    "unknown version": (
        with_version(77),
        "NOT_FOUND",
        "Servable not found for request: Specific(demo, 77)",
    ),
    "unknown label": (
        with_label("canary"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    ),
    "unknown signature": (
        predict_request("nope", history=[HISTORY]),
        "FAILED_PRECONDITION",
        'Serving signature key "nope" not found.',
    ),
    "missing key": (
        predict_request("recommend", history=[HISTORY]),
        "INVALID_ARGUMENT",
        "Missing but required: {exclude,k}.",
    ),
    "no keys": (
        predict_request(),
        "INVALID_ARGUMENT",
        "Missing but required: {history}",
    ),
    "extra key": (
        predict_request(history=[HISTORY], more=[["x"]]),
        "INVALID_ARGUMENT",
        "Sent extra: {more}.",
    ),
    "another key": (predict_request(histories=[HISTORY]), "INVALID_ARGUMENT", ""),
    "unknown output": (
        with_filter("nope"),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nope",
    ),
    "output twice": (
        with_filter("scores", "scores"),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: scores",
    ),
    "floats for strings": (
        predict_request(history=np.zeros([1, MAX_LENGTH], np.float32)),
        "INVALID_ARGUMENT",
        "",
    ),
    "64 bits for 32": (
        predict_request(
            "recommend", history=[HISTORY], k=np.asarray([3]), exclude=[[""]]
        ),
        "INVALID_ARGUMENT",
        "",
    ),
    "rows differ": (
        predict_request("recommend", history=[HISTORY], k=[1, 2], exclude=[[""]]),
        "INVALID_ARGUMENT",
        "",
    ),
    "no example": (
        predict_request("serving_examples", examples=[b"no example"]),
        "INVALID_ARGUMENT",
        "",
    ),
}


@pytest.mark.parametrize("case", BAD_PREDICTS)
def test_bad_predict(server, served_export, case):
    request, code, text = BAD_PREDICTS[case]
    received = status_of(lambda: server.prediction.Predict(request, timeout=30))
    assert received[0].name == code, received
    assert text in received[1]
    good_answer_is_right(server, served_export)


def test_bad_metadata_and_status(server):
    metadata = get_model_metadata_pb2.GetModelMetadataRequest()
    call = server.prediction.GetModelMetadata
    assert status_of(lambda: call(metadata, timeout=30))[0].name == "INVALID_ARGUMENT"
    metadata.model_spec.name = "demo"
    assert status_of(lambda: call(metadata, timeout=30))[0].name == "INVALID_ARGUMENT"
    metadata.metadata_field.append("weights")
    assert status_of(lambda: call(metadata, timeout=30))[0].name == "INVALID_ARGUMENT"
    metadata.metadata_field[:] = ["signature_def"]
    metadata.model_spec.name = "nope"
    assert status_of(lambda: call(metadata, timeout=30))[0].name == "NOT_FOUND"
    status = get_model_status_pb2.GetModelStatusRequest()
    call = server.models.GetModelStatus
    assert status_of(lambda: call(status, timeout=30))[0].name == "INVALID_ARGUMENT"
    status.model_spec.name = "nope"
    code, text = status_of(lambda: call(status, timeout=30))
    assert code.name == "NOT_FOUND" and "any versions of model nope" in text
    status.model_spec.name = "demo"
    status.model_spec.version.value = 77
    code, text = status_of(lambda: call(status, timeout=30))
    assert code.name == "NOT_FOUND" and "version 77 of model demo" in text


ROW = {"history": HISTORY}
BAD_BODIES = {
    "empty": b"",
    "no json": b"{",
    "no object": b"[1]",
    "neither": {"signature_name": "serving_default"},
    "both": {"instances": [ROW], "inputs": {"history": [HISTORY]}},
    "no rows": {"instances": []},
    "rows are text": {"instances": "abc"},
    "unknown signature": {"signature_name": "nope", "instances": [ROW]},
    "signature is a number": {"signature_name": 3, "instances": [ROW]},
    "missing key": {"signature_name": "recommend", "instances": [ROW]},
    "extra key": {"instances": [{**ROW, "more": 1}]},
    "missing input": {"inputs": {"other": [HISTORY]}},
    "rows differ": {"instances": [ROW, {"history": HISTORY[1:]}]},
    "mixed rows": {"instances": [ROW, HISTORY]},
    "null in a list": {"instances": [{"history": [*HISTORY[1:], None]}]},
    "number for string": {"instances": [{"history": [*HISTORY[1:], 3]}]},
    "bad b64": {"instances": [{"history": [*HISTORY[1:], {"b64": "%%%"}]}]},
    "k is text": {
        "signature_name": "recommend",
        "instances": [{**ROW, "k": "3", "exclude": [""]}],
    },
    "k is too big": {
        "signature_name": "recommend",
        "instances": [{**ROW, "k": 2**31, "exclude": [""]}],
    },
    "k is a fraction": {
        "signature_name": "recommend",
        "instances": [{**ROW, "k": 1.5, "exclude": [""]}],
    },
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_body(server, served_export, case):
    status, answer = server.http("POST", "/v1/models/demo:predict", BAD_BODIES[case])
    assert status == 400, answer
    assert list(answer) == ["error"] and answer["error"]
    good_answer_is_right(server, served_export)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/models/nope:predict", 404),
        ("POST", "/v1/models/demo/versions/77:predict", 404),
        ("POST", "/v1/models/demo/labels/canary:predict", 400),
        ("POST", "/v1/models/demo:explode", 400),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/v1/models/demo/versions/77", 404),
        ("GET", "/v1/models/nope/metadata", 404),
        ("GET", "/v1/models/demo/versions/99999999999999999999", 400),
    ],
)
def test_bad_path(server, method, path, status):
    body = {"instances": [ROW]} if method == "POST" else None
    received, answer = server.http(method, path, body)
    assert received == status, answer
    assert list(answer) == ["error"]

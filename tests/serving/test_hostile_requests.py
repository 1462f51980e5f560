"""Requests that no client of ours sends: each gets a status, and the server lives."""

import http.client
import json
import socket

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from tests.s4rec_tf.export.standin import MAX_K, MAX_LENGTH
from tests.serving.export_requests import (
    HISTORY,
    good_answer_is_right,
    predict_request,
    status_of,
    strings,
)

TIMEOUT = 20


def history_proto(shape, values, **fields):
    proto = tensor_pb2.TensorProto(dtype=7, **fields)
    for size in shape or []:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = shape is None
    proto.string_val.extend(values)
    return proto


def with_history(proto):
    request = predict_request()
    request.inputs["history"].CopyFrom(proto)
    return request


BAD_TENSORS = {
    "rank 0": history_proto([], [b"x"]),
    "rank 1": history_proto([MAX_LENGTH], [b"x"] * MAX_LENGTH),
    "rank 3": history_proto([1, MAX_LENGTH, 1], [b"x"] * MAX_LENGTH),
    "unknown rank": history_proto(None, [b"x"]),
    "negative rows": history_proto([-1, MAX_LENGTH], [b"x"]),
    "more values than elements": history_proto([1, MAX_LENGTH], [b"x"] * 99),
    "shape of a terabyte": history_proto([2**37, MAX_LENGTH], [b"x"]),
    "shape beyond 64 bits": history_proto([2**62, MAX_LENGTH], [b"x"]),
    "raw bytes": history_proto([1, MAX_LENGTH], [], tensor_content=b"12345678" * 8),
    "rows beyond the limit": history_proto([1025, MAX_LENGTH], [b"x"]),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_bad_tensor(embedded, served_export, case):
    request = with_history(BAD_TENSORS[case])
    code, _ = status_of(lambda: embedded.prediction.Predict(request, timeout=TIMEOUT))
    assert code.name == "INVALID_ARGUMENT"
    good_answer_is_right(embedded, served_export)


@pytest.mark.parametrize("width", [2, 10**6])
def test_history_of_another_width_is_answered(embedded, served_export, width):
    """The shape is the model's affair, and the export's takes any."""
    history = np.full([1, width], b"no-item", object)
    history[0, -2:] = [b"item-3", b"item-9"]
    request = predict_request(history=history)
    response = embedded.prediction.Predict(request, timeout=TIMEOUT)
    expected = served_export.expected([3, 9], [3, 9])[0]
    received = strings(response.outputs["item_ids"])
    assert received == [[f"item-{item}" for item in expected]]


def test_wide_history_over_rest_is_answered(embedded):
    body = json.dumps({"instances": [{"history": ["x"] * 10**5}]})
    status, answer = embedded.http("POST", "/v1/models/demo:predict", body)
    assert (status, answer["predictions"][0]["is_fallback"]) == (200, True)


ODD_ITEMS = {
    "unknown": b"nope",
    "over-long": b"x" * 2**20,
    "invalid UTF-8": b"\xff\xfe\x80",
    "NUL": b"item-3\x00",
    "newline": b"item-3\n",
}


@pytest.mark.parametrize("case", ODD_ITEMS)
def test_odd_items_are_unknown_items(embedded, served_export, case):
    history = np.asarray([[""] * (MAX_LENGTH - 1) + [ODD_ITEMS[case]]], object)
    request = predict_request(history=history)
    response = embedded.prediction.Predict(request, timeout=TIMEOUT)
    assert tf.make_ndarray(response.outputs["is_fallback"]).tolist() == [True]
    assert np.isfinite(tf.make_ndarray(response.outputs["scores"])).all()
    good_answer_is_right(embedded, served_export)


def test_no_rows_are_answered_by_none(embedded):
    request = predict_request(history=np.zeros([0, MAX_LENGTH], object))
    response = embedded.prediction.Predict(request, timeout=TIMEOUT)
    sizes = [d.size for d in response.outputs["item_ids"].tensor_shape.dim]
    assert sizes == [0, MAX_K]


@pytest.mark.parametrize(("k", "length"), [(2**31 - 1, MAX_K), (-(2**31), 0), (0, 0)])
def test_odd_k_is_clipped(embedded, k, length):
    request = predict_request("recommend", history=[HISTORY], k=[k], exclude=[[""]])
    response = embedded.prediction.Predict(request, timeout=TIMEOUT)
    assert sum(map(bool, strings(response.outputs["item_ids"])[0])) == length


def test_a_million_exclusions(embedded, served_export):
    exclude = [["", *(f"no-{i}" for i in range(10**6)), "item-1"]]
    request = predict_request("recommend", history=[HISTORY], k=[5], exclude=exclude)
    response = embedded.prediction.Predict(request, timeout=TIMEOUT)
    expected = served_export.expected([3, 9], [3, 9, 1], 5)[0]
    received = strings(response.outputs["item_ids"])[0][:5]
    assert received == [f"item-{item}" for item in expected]


def test_message_beyond_the_limit(embedded, served_export):
    request = predict_request(history=np.asarray([[b"x" * 2**24] * MAX_LENGTH], object))
    code, _ = status_of(lambda: embedded.prediction.Predict(request, timeout=TIMEOUT))
    assert code.name == "RESOURCE_EXHAUSTED"
    good_answer_is_right(embedded, served_export)


@pytest.mark.parametrize("body", [b"\x0a\xff", b"\x00" * 100, b"\xff" * 1000])
def test_broken_protobuf(embedded, served_export, body):
    call = embedded.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    code, _ = status_of(lambda: call(body, timeout=TIMEOUT))
    assert code.name in ("INTERNAL", "INVALID_ARGUMENT")
    good_answer_is_right(embedded, served_export)


def test_example_that_quotes_no_text(embedded, served_export):
    request = predict_request("serving_examples", examples=[b"\xff\xfe\x80"])
    code, _ = status_of(lambda: embedded.prediction.Predict(request, timeout=TIMEOUT))
    assert code.name == "INVALID_ARGUMENT"
    good_answer_is_right(embedded, served_export)


def test_calls_that_are_not_offered(embedded):
    unknown = embedded.channel.unary_unary("/tensorflow.serving.PredictionService/X")
    assert status_of(lambda: unknown(b"", timeout=TIMEOUT))[0].name == "UNIMPLEMENTED"


HOSTILE_BODIES = {
    "deep": b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep tensor": json.dumps({"inputs": eval("[" * 40 + "]" * 40)}).encode(),
    "invalid UTF-8": b'{"instances": [["\xff"]]}',
    "lone surrogate": b'{"instances": [{"history": ["\\ud800"]}]}',
    "signature of surrogates": b'{"signature_name": "\\ud800", "instances": [[1]]}',
    "endless number": b'{"instances": [[' + b"9" * 100_000 + b"]]}",
    "NaN": b'{"instances": [[NaN, Infinity]]}',
    "too many rows": json.dumps({"instances": [{"history": HISTORY}] * 1025}).encode(),
    "NUL": b"\x00" * 1000,
}


@pytest.mark.parametrize("case", HOSTILE_BODIES)
def test_hostile_body(embedded, served_export, case):
    path = "/v1/models/demo:predict"
    status, answer = embedded.http("POST", path, HOSTILE_BODIES[case])
    assert status == 400
    assert list(answer) == ["error"]
    good_answer_is_right(embedded, served_export)


def test_body_beyond_the_limit_is_not_read(embedded, served_export):
    headers = {"Content-Length": str(2**40)}
    status, answer = embedded.http("POST", "/v1/models/demo:predict", b"{}", headers)
    assert status == 413 and list(answer) == ["error"]
    good_answer_is_right(embedded, served_export)


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", ""])
def test_length_that_is_none(embedded, length):
    headers = {"Content-Length": length}
    status, _ = embedded.http("POST", "/v1/models/demo:predict", b"{}", headers)
    assert status == 400


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"]
)
def test_bytes_that_are_no_http(embedded, served_export, data):
    host, port = embedded.rest_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass
    good_answer_is_right(embedded, served_export)


def test_slow_and_idle_clients_hold_nobody_up(embedded, served_export):
    host, port = embedded.rest_address.rsplit(":", 1)
    connections = []
    try:
        for _ in range(50):
            connection = socket.create_connection((host, int(port)), timeout=TIMEOUT)
            connection.sendall(b"POST /v1/models/demo:predict HTTP/1.1\r\n")
            connections.append(connection)
        path = "/v1/models/demo:predict"
        status, _ = embedded.http("POST", path, {"instances": [HISTORY]})
        assert status == 200
        good_answer_is_right(embedded, served_export)
    finally:
        for connection in connections:
            connection.close()


def test_connection_is_kept_for_the_next_request(embedded):
    host, port = embedded.rest_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
    for _ in range(3):
        connection.request("GET", "/v1/models/demo")
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        assert response.getheader("Connection") is None
    connection.close()


def test_the_log_quotes_no_history(embedded):
    text = embedded.log.read_text()
    assert "version 1 of demo is available" in text
    assert "item-" not in text and "Traceback" not in text


def test_empty_request_message(embedded):
    call = embedded.prediction.Predict
    code, text = status_of(lambda: call(predict_pb2.PredictRequest(), timeout=TIMEOUT))
    assert (code.name, text) == ("INVALID_ARGUMENT", "Missing ModelSpec")

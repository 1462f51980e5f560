"""Every bad request has its status within a second, and the next good answer is right.

One table for both protocols; `test_hostile_requests.py` holds odd cases beyond it.
"""

import json
import os
import time

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2

from tests.s4rec_tf.export.standin import MAX_LENGTH
from tests.serving.export_requests import (
    HISTORY,
    good_answer_is_right,
    predict_request,
)

PREDICT = "/tensorflow.serving.PredictionService/Predict"
OK, INVALID, NO_SUCH = "OK", "INVALID_ARGUMENT", "NOT_FOUND"
BLANK = [""] * MAX_LENGTH
SECONDS = 1.0
BUSY_SECONDS = 10.0
"""On a machine that others use too: what the two processes worked must be in bounds."""


def asked(signature="serving_default", version=None, **inputs):
    request = predict_request(signature, **inputs)
    if version is not None:
        request.model_spec.version.value = version
    return request.SerializeToString()


def shaped(*sizes, values=(), dtype=7):
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    proto.string_val.extend(values)
    request = predict_request()
    request.inputs["history"].CopyFrom(proto)
    return request.SerializeToString()


def recommend(k, exclude=(("",),), history=(HISTORY,)):
    return asked(
        "recommend",
        history=list(history),
        k=list(k),
        exclude=[list(e) for e in exclude],
    )


def row(**inputs):
    return {"signature_name": "recommend", "instances": [{**GOOD_ROW, **inputs}]}


GOOD_ROW = {"history": HISTORY, "k": 3, "exclude": [""]}
NUMBERS = [f"no-{i}" for i in range(10**6)]
BIG = b"x" * (64 * 2**20)

# name: gRPC message, its status; REST body, its status. None: it does not apply.
TABLE = {
    "missing keys": (asked("recommend", history=[HISTORY]), INVALID),
    "extra keys": (asked(history=[HISTORY], more=[["x"]]), INVALID),
    "wrong type": (asked(history=np.zeros([1, MAX_LENGTH], np.float32)), INVALID),
    "wrong rank": (shaped(MAX_LENGTH, values=[b"x"] * MAX_LENGTH), INVALID),
    "zero rows": (asked(history=np.zeros([0, MAX_LENGTH], object)), OK),
    "empty history": (asked(history=[BLANK]), OK),
    "all unknown": (asked(history=[["?"] * MAX_LENGTH]), OK),
    "a million ids": (recommend([3], [["", *NUMBERS]]), OK),
    "a shape of terabytes": (shaped(2**40, MAX_LENGTH, values=[b"x"]), INVALID),
    "invalid UTF-8": (asked(history=np.asarray([[b"\xff"] * MAX_LENGTH])), OK),
    "NUL": (asked(history=[["item-3\0"] * MAX_LENGTH]), OK),
    "NaN": (asked("recommend", k=np.asarray([np.nan], np.float32)), INVALID),
    "huge k": (recommend([2**31 - 1]), OK),
    "negative k": (recommend([-(2**31)]), OK),
    "bad version": (asked(version=77, history=[HISTORY]), NO_SUCH),
    "negative version": (asked(version=-1, history=[HISTORY]), NO_SUCH),
    "64 MiB": (BIG, "RESOURCE_EXHAUSTED"),
    "truncated protobuf": (asked(history=[HISTORY])[:-3], "INTERNAL"),
    "no bytes": (b"", INVALID),
}
BODIES = {
    "missing keys": ({"signature_name": "recommend", "instances": [HISTORY]}, 400),
    "extra keys": (row(more=1), 400),
    "wrong type": ({"instances": [[1.5] * MAX_LENGTH]}, 400),
    "wrong rank": ({"inputs": HISTORY}, 400),
    "zero rows": ({"inputs": []}, 400),
    "empty history": ({"instances": [BLANK]}, 200),
    "all unknown": ({"instances": [["?"] * MAX_LENGTH]}, 200),
    "a million ids": (row(exclude=NUMBERS), 200),
    "invalid UTF-8": (b'{"instances": [["\xff"]]}', 400),
    "NUL": ({"instances": [["\0"] * MAX_LENGTH]}, 200),
    "NaN": (row(k=float("nan")), 400),
    "huge k": (row(k=2**31 - 1), 200),
    "k beyond its type": (row(k=2**31), 400),
    "negative k": (row(k=-(2**31)), 200),
    "64 MiB": (BIG, 413),
    "truncated JSON": (b'{"instances": [["item-3"', 400),
    "deep JSON": (b'{"inputs": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
    "no bytes": (b"", 400),
}


@pytest.fixture(scope="module")
def wide(embedded):
    """A channel that sends what the server's limit refuses."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(embedded.grpc_address, options=options) as channel:
        yield channel.unary_unary(PREDICT)


def in_time(server, ask):
    """The answer, which must have taken less than a second."""
    start, work = time.monotonic(), worked(server)
    answer = ask()
    seconds, work = time.monotonic() - start, worked(server) - work
    assert seconds < SECONDS or (seconds < BUSY_SECONDS and work < SECONDS)
    return answer


def worked(server):
    """Seconds of a core that this process and the server have used."""
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("case", TABLE)
def test_over_grpc(embedded, wide, served_export, case):
    message, expected = TABLE[case]

    def ask():
        try:
            wide(message, timeout=30)
        except grpc.RpcError as error:
            return error.code().name
        return OK

    assert in_time(embedded, ask) == expected
    assert embedded.process.poll() is None
    good_answer_is_right(embedded, served_export)


@pytest.mark.parametrize("case", BODIES)
def test_over_rest(embedded, served_export, case):
    body, expected = BODIES[case]
    body = body if isinstance(body, bytes) else json.dumps(body)
    path = "/v1/models/demo:predict"
    status, answer = in_time(embedded, lambda: embedded.http("POST", path, body))
    assert status == expected, answer
    assert (list(answer) == ["error"]) == (expected != 200)
    assert embedded.process.poll() is None
    good_answer_is_right(embedded, served_export)

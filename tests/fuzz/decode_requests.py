"""Coverage-guided fuzzing of request decoding: `make fuzz`, which is libFuzzer's rules.

    python tests/fuzz/decode_requests.py [CORPUS] -runs=1000000 -max_len=2048

Everything that a server does with bytes of a request runs, but for the model itself:
protobuf, HTTP, JSON, paths, keys, shapes, tensors and the answer's encoding. What is
raised must be a `StatusError`, or protobuf's own error; anything else ends the run.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import atheris

from serving.status import StatusError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

with atheris.instrument_imports(include=["serving"]):
    from serving.frontends import api as model_api
    from serving.frontends import http_connection, http_port, rest_api
    from serving.servables import json_text, servable

LENGTH, MAX_K = 8, 4
STRING, INT, FLOAT, BOOL = (
    *(types_pb2.DT_STRING, types_pb2.DT_INT32),
    *(types_pb2.DT_FLOAT, types_pb2.DT_BOOL),
)
LISTS = {"k": (INT, [-1]), "exclude": (STRING, [-1, -1])}
HISTORY = {"history": (STRING, [-1, LENGTH])}
INPUTS = {
    "serving_default": HISTORY,
    "recommend": {**HISTORY, **LISTS},
    "recommend_among": {**HISTORY, **LISTS, "allow": (STRING, [-1, -1])},
    "similar_items": {"item": (STRING, [-1]), **LISTS},
    "serving_examples": {"examples": (STRING, [-1])},
    # No export has these types; the decoder knows them all the same.
    "numbers": {
        "a": (FLOAT, [-1]),
        "b": (types_pb2.DT_DOUBLE, [-1, 2]),
        "c": (types_pb2.DT_INT64, []),
        "d": (BOOL, [-1, -1]),
    },
}
OUTPUTS = {
    "item_ids": (STRING, [-1, MAX_K]),
    "scores": (FLOAT, [-1, MAX_K]),
    "is_fallback": (BOOL, [-1]),
}


def signature_of(inputs):
    signature = meta_graph_pb2.SignatureDef()
    for side, infos in ((signature.inputs, inputs), (signature.outputs, OUTPUTS)):
        for alias, (dtype, shape) in infos.items():
            side[alias].dtype = dtype
            side[alias].name = f"{alias}:0"
            side[alias].tensor_shape.SetInParent()
            for size in shape:
                side[alias].tensor_shape.dim.add(size=size)
    return signature


class Decoder(servable.Servable):
    """A version that decodes requests and answers nothing in particular."""

    def __init__(self) -> None:
        self.version, self._model_name, self._max_rows = 3, "demo", 1024
        self.signatures = {name: signature_of(i) for name, i in INPUTS.items()}
        self.paddings, self._batchers, self._watch = {}, {}, None
        # Where no list of items lies.
        self.path = Path(os.devnull)

    def _alone(self, name, outputs, inputs):
        first = inputs[min(inputs)]
        rows = min(3, len(first) if first.ndim else 1)
        types = {STRING: object, FLOAT: np.float32, BOOL: bool}
        values = {}
        for alias in outputs:
            dtype, (_, *rest) = OUTPUTS[alias]
            value = np.zeros((rows, *rest), types[dtype])
            if dtype == STRING:
                value.fill(b"\xff")
            values[alias] = value
        return values


class OneModel:
    """Stands for the models of a server."""

    def __init__(self) -> None:
        self._versions = Versions()

    def find(self, name):
        return self._versions if name == "demo" else None

    def serving_versions(self):
        return {"demo": 3}


class Versions:
    """Stands for the versions of a model."""

    serving_version = 3

    def __init__(self) -> None:
        self._decoder = Decoder()

    def find(self, version):
        if version not in (None, 3):
            raise StatusError(StatusCode.NOT_FOUND, "no such version")
        return self._decoder

    def labelled(self, label):
        if label != "stable":
            raise StatusError(StatusCode.INVALID_ARGUMENT, "no such label")
        return 3

    def statuses(self):
        from serving.versions.states import State, Status

        return {3: Status(State.AVAILABLE)}


class Everyone:
    """Admits every call and answers it at once."""

    def authorize(self, headers):
        pass

    def take(self):
        pass

    async def run(self, function, *args):
        return function(*args)


class Wire(asyncio.Transport):
    """The server's side of a connection that leads nowhere."""

    def __init__(self, connection):
        super().__init__()
        self._connection, self._is_closing = connection, False
        self.sent = b""

    def write(self, data):
        self.sent += bytes(data)

    def writelines(self, parts):
        self.write(b"".join(map(bytes, parts)))

    def is_closing(self):
        return self._is_closing

    def close(self):
        if not self._is_closing:
            self._is_closing = True
            self._connection.connection_lost(None)

    def pause_reading(self):
        pass

    resume_reading = write_eof = pause_reading
    abort = close


class Connection(http_connection.Connection):
    """Notes a fault of the server that aiohttp would answer by 500."""

    def handle_error(self, request, status=500, exc=None, message=None):
        if status >= 500:
            FAULTS.append(exc)
        return super().handle_error(request, status, exc, message)


class Faults(logging.Handler):
    """Notes what aiohttp logs and does not answer."""

    def emit(self, record):
        FAULTS.append(record.exc_info[1] if record.exc_info else record.getMessage())


def status_of(error):
    """The status of an error that is none of the server's faults."""
    if not isinstance(error, StatusError):
        FAULTS.append(error)
        return StatusError(StatusCode.INTERNAL, "fault")
    return error


API = model_api.ModelApi(OneModel())
FAULTS = []
logging.getLogger("aiohttp").addHandler(Faults(logging.ERROR))
LOOP = asyncio.new_event_loop()
http_port.status_of = status_of
HTTP = http_port.HttpPort(
    API,
    Everyone(),
    argparse.Namespace(
        monitoring_config_file=None,
        ui=True,
        rest_api_enable_cors_support=True,
        rest_api_timeout_in_ms=30_000,
    ),
)


async def exchange(data: bytes) -> bytes:
    """Sends bytes over a connection of their own; what is answered."""
    server = http_port.web.Server(HTTP._handle, handler_cancellation=True)
    connection = Connection(server, 30.0, LOOP)
    wire = Wire(connection)
    connection.connection_made(wire)
    connection.data_received(data)
    for _ in range(20):
        await asyncio.sleep(0)
    if not wire.is_closing() and not connection.eof_received():
        wire.close()
    while not wire.is_closing() and asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.sleep(0)
    wire.close()
    await asyncio.sleep(0)
    return wire.sent


REST = rest_api.RestApi(API)
PATHS = (
    "/v1/models/demo:predict",
    "/v1/models/demo/versions/3:predict",
    "/v1/models/demo/labels/stable:predict",
    "/v1/models/demo:classify",
)


def decode(data: bytes) -> None:
    """One input, good or bad."""
    with contextlib.suppress(StatusError, DecodeError):
        answer(data)


def read(body: bytes, piece: int) -> str:
    """A JSON body as the server reads it in pieces of a length, or why it does not."""
    before = json_text._PIECE, json_text._PATIENCE
    json_text._PIECE, json_text._PATIENCE = piece, 2
    try:
        return repr(json_text.parse(body))
    except StatusError as error:
        return error.message
    finally:
        json_text._PIECE, json_text._PATIENCE = before


def answer(data: bytes) -> bytes:
    """Answers an input, whose first byte says which door it comes in by.

    Returns:
        The bytes of an answer over HTTP.
    """
    door, body = data[:1], data[1:]
    kind = door[0] % 7 if door else 0
    if kind == 0:
        API.predict(predict_pb2.PredictRequest.FromString(body)).SerializeToString()
    elif kind == 1:
        REST.post(rest_api.Target("POST", PATHS[door[0] // 7 % len(PATHS)]), body)
    elif kind == 2:
        at_once, in_pieces = read(body, 2**16), read(body, 7)
        if "nested too deep" not in at_once + in_pieces and at_once != in_pieces:
            raise AssertionError(at_once, in_pieces)
    elif kind == 3:
        REST.get(rest_api.Target("GET", body.decode("latin-1")))
    elif kind == 4:
        request = get_model_metadata_pb2.GetModelMetadataRequest
        API.metadata(request.FromString(body))
    elif kind == 6:
        sent = LOOP.run_until_complete(exchange(body))
        if FAULTS:
            raise AssertionError(FAULTS.copy())
        return sent
    else:
        API.status(get_model_status_pb2.GetModelStatusRequest.FromString(body))
    return b""


def seeds() -> list[bytes]:
    """Good requests to start from."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "demo"
    request.model_spec.signature_name = "recommend"
    history = np.asarray([[b""] * (LENGTH - 1) + [b"item-1"]], object)
    request.inputs["history"].CopyFrom(tf.make_tensor_proto(history))
    request.inputs["k"].CopyFrom(tf.make_tensor_proto(np.asarray([3], np.int32)))
    exclude = np.asarray([[b"", b"item-2"]], object)
    request.inputs["exclude"].CopyFrom(tf.make_tensor_proto(exclude))
    row = {"history": [""] * LENGTH, "k": 1, "exclude": [{"b64": "aXRlbS0x"}]}
    numbers = {"a": [1.5, 1e30], "b": [[1, 2]], "c": 3, "d": [[True]]}
    bodies = [
        {"instances": [[""] * LENGTH]},
        {"signature_name": "recommend", "instances": [row, row]},
        {"signature_name": "recommend", "inputs": {k: [v] for k, v in row.items()}},
        {"signature_name": "numbers", "inputs": numbers},
    ]
    alone = predict_pb2.PredictRequest()
    alone.model_spec.name = "demo"
    alone.inputs["history"].CopyFrom(tf.make_tensor_proto(history))
    return [
        b"\0" + request.SerializeToString(),
        b"\0" + alone.SerializeToString(),
        *(
            kind + json.dumps(body).encode()
            for body in bodies
            for kind in (b"\1", b"\2")
        ),
        *(
            b"\3" + path.encode()
            for path in ("/v1/models/demo", "/v1/models/demo/metadata")
        ),
        *(b"\6" + request for request in http_requests(json.dumps(bodies[0]))),
        b"\4\n\x06\n\x04demo\x12\rsignature_def",
        b"\5\n\x06\n\x04demo",
    ]


def http_requests(body: str) -> list[bytes]:
    """Requests of a body, in each way that HTTP has."""
    head, plain = "POST /v1/models/demo:predict HTTP/1.1\r\nHost: a\r\n", body.encode()
    packed = gzip.compress(plain, mtime=0)
    length = "Content-Length: {}\r\n"
    chunks = f"Transfer-Encoding: chunked\r\n\r\n{len(plain):x}\r\n{body}\r\n0\r\n\r\n"
    get = "GET /v1/models/demo HTTP/1.1\r\nHost: a\r\n\r\n"
    page = get.replace("/v1/models/demo", "/ui/items/v1/models/demo")
    return [
        f"{head}{length.format(len(plain))}\r\n{body}{get}".encode(),
        f"{head}{length.format(len(packed))}Content-Encoding: gzip\r\n\r\n".encode()
        + packed,
        f"{head}{chunks}".encode(),
        f"{head}Expect: 100-continue\r\n{length.format(len(plain))}\r\n{body}".encode(),
        get.replace("GET", "HEAD").encode(),
        page.encode(),
    ]


def main() -> None:
    """Runs libFuzzer with the command line's flags."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate(seeds()):
        # A seed must be a good request, or it teaches nothing.
        answer(seed)
        (folder / f"seed-{number}").write_bytes(seed)
    arguments = [*sys.argv, str(folder)]
    atheris.Setup(arguments, decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

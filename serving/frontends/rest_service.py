"""TF Serving's REST API: status, metadata and `:predict`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving import limits, metrics
from serving.frontends import security
from serving.frontends.api import SIGNATURE_DEF, ModelApi
from serving.frontends.grpc_calls import log_internal
from serving.servables import json_tensors
from serving.status import HTTP_STATUS, StatusError, invalid_argument

log = logging.getLogger(__name__)

_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
)
_POST = re.compile(_MODEL + r":(?P<method>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(_MODEL + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1
_LINGER_SECONDS = 2.0
# Names of protobuf 4, which TensorFlow 2.16 is bound to; the stubs know newer ones.
_JSON_OPTIONS: dict[str, Any] = {
    "preserving_proto_field_name": True,
    "including_default_value_fields": True,
}


class RestApi:
    """Answers paths and bodies; knows nothing of sockets."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def get(self, path: str) -> dict[str, Any]:
        """Status or metadata of a model.

        Raises:
            StatusError: see `HTTP_STATUS`.
        """
        match = _GET.fullmatch(path.partition("?")[0])
        if not match:
            raise invalid_argument(f"Malformed request: GET {path}")
        if match["metadata"]:
            request = get_model_metadata_pb2.GetModelMetadataRequest()
            request.metadata_field.append(SIGNATURE_DEF)
            _fill_spec(request.model_spec, match)
            return _metadata_document(self._api.metadata(request))
        status = get_model_status_pb2.GetModelStatusRequest()
        _fill_spec(status.model_spec, match)
        return _to_dict(self._api.status(status))

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """A prediction.

        Raises:
            StatusError: see `HTTP_STATUS`.
        """
        match = _POST.fullmatch(path)
        if not match:
            raise invalid_argument(f"Malformed request: POST {path}")
        method = match["method"].lower()
        if method != "predict":
            task = classification_pb2.ClassificationRequest()
            _fill_spec(task.model_spec, match)
            json_tensors.parse(body)
            self._api.refuse(method, task)
        with self._api.counted(match["name"], "Predict", "REST"):
            return self._predict(match, body)

    def _predict(self, match: re.Match[str], body: bytes) -> dict[str, Any]:
        request = predict_pb2.PredictRequest()
        _fill_spec(request.model_spec, match)
        document = json_tensors.parse(body)
        name = document.get("signature_name") or limits.DEFAULT_SIGNATURE
        request.model_spec.signature_name = _utf8(name)
        # One version for both steps, also when another one is swapped in between.
        with self._api.lease(request) as servable:
            if name not in servable.signatures:
                raise invalid_argument(
                    f'Serving signature name: "{name}" not found in signature def'
                )
            signature = servable.signatures[name]
            is_row_format = json_tensors.fill_inputs(
                document, signature, request, servable.paddings
            )
            response = self._api.answer(servable, request)
        return json_tensors.to_document(response, is_row_format)


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid_argument("'signature_name' key must be valid UTF-8") from error
    return text


def _fill_spec(spec: Any, match: re.Match[str]) -> None:
    spec.name = match["name"]
    if match["version"]:
        version = int(match["version"][:20])
        if version > _MAX_VERSION:
            raise invalid_argument(
                f"Failed to convert version: {match['version'][:20]} to numeric."
            )
        spec.version.value = version
    elif match["label"]:
        spec.version_label = match["label"]


def _to_dict(message: Any) -> dict[str, Any]:
    document: dict[str, Any] = json_format.MessageToDict(message, **_JSON_OPTIONS)
    return document


def _metadata_document(
    response: get_model_metadata_pb2.GetModelMetadataResponse,
) -> dict[str, Any]:
    definitions = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(definitions)
    return {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {SIGNATURE_DEF: _to_dict(definitions)},
    }


@dataclasses.dataclass(frozen=True)
class RestOptions:
    """How the REST port is offered.

    Attributes:
        tokens: of which a request must bring one; none for any request.
        metrics_path: where metrics are read; None for nowhere.
        timeout_seconds: how long a connection may be silent.
    """

    tokens: tuple[str, ...] = ()
    metrics_path: str | None = None
    timeout_seconds: float = limits.REST_TIMEOUT_SECONDS


class RestServer(ThreadingHTTPServer):
    """A thread a connection; knows how many requests are in work."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, api: ModelApi, host: str, port: int, options: RestOptions | None = None
    ) -> None:
        """Listens, but answers only after `start`.

        Args:
            api: what answers.
            host: address to listen on.
            port: 0 for any free one.
            options: open by default, without metrics.

        Raises:
            StatusError: UNAVAILABLE if the port cannot be had.
        """
        self.rest_api = RestApi(api)
        self.options = options or RestOptions()
        self.tokens = security.Tokens(self.options.tokens)
        self.draining = False
        self.in_work = 0
        self.idle = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host.strip("[]"), port), _Handler)
        except OSError as error:
            raise StatusError(
                StatusCode.UNAVAILABLE,
                f"cannot listen on {host}:{port} (REST): {error}",
            ) from error

    def start(self) -> int:
        """Answers in a thread of its own; returns the port."""
        threading.Thread(target=self.serve_forever, name="rest", daemon=True).start()
        return int(self.server_address[1])

    def drain(self, seconds: float) -> None:
        """Takes no new connections and waits for requests in work."""
        self.draining = True
        self.shutdown()
        deadline = time.monotonic() + seconds
        with self.idle:
            while self.in_work and (left := deadline - time.monotonic()) > 0:
                self.idle.wait(left)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A broken connection is the client's affair."""
        log.debug("a REST connection broke")


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    server_version = "s4rec-serving"
    sys_version = ""
    # Small answers must not wait for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.options.timeout_seconds)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == self.server.options.metrics_path:
            self._handle(metrics.page)
        else:
            self._handle(lambda: self.server.rest_api.get(self.path))

    def do_POST(self) -> None:
        body = self._body()
        if body is not None:
            self._handle(lambda: self.server.rest_api.post(self.path, body))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an access log is the proxy's."""

    def _body(self) -> bytes | None:
        """The body, or None after an error answer."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (
            length.isascii() and length.isdigit()
        ):
            self.close_connection = True
            self._send(411, {"error": "a Content-Length is required"})
            return None
        if len(length) > 12 or int(length) > limits.MAX_REQUEST_BYTES:
            self.close_connection = True
            limit = limits.MAX_REQUEST_BYTES
            self._send(413, {"error": f"a body may have {limit} bytes at most"})
            self._linger()
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _linger(self) -> None:
        """Reads on for a moment: closed at once, the client might miss the answer."""
        self.connection.settimeout(_LINGER_SECONDS)
        end = time.monotonic() + _LINGER_SECONDS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while time.monotonic() < end and self.connection.recv(2**20):
                pass

    def _handle(self, call: Any) -> None:
        with self.server.idle:
            self.server.in_work += 1
        try:
            if not self.server.tokens.allow(self.headers.get("Authorization")):
                raise StatusError(StatusCode.UNAUTHENTICATED, security.REFUSAL)
            self._send(200, call())
        except StatusError as error:
            status = HTTP_STATUS.get(error.code, 500)
            self._send(status, {"error": error.message})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            log_internal(error)
            self._send(500, {"error": f"internal: {type(error).__name__}"})
        finally:
            with self.server.idle:
                self.server.in_work -= 1
                self.server.idle.notify_all()

    def _send(self, status: int, document: dict[str, Any] | str) -> None:
        if isinstance(document, str):
            kind, body = "text/plain", document.encode()
        else:
            kind = "application/json"
            body = json.dumps(document, ensure_ascii=True).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.draining or self.close_connection:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

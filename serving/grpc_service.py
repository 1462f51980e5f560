"""`PredictionService` and `ModelService` over gRPC.

Only the `*_pb2_grpc` modules are imported: `prediction_service_pb2` and
`model_service_pb2` of tensorflow-serving-api 2.16 do not import with protobuf 4.25.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import traceback
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import admission, contract, security
from serving import api as model_api
from serving.api import ModelApi
from serving.contract import Code, StatusError

log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

_ARGUMENTS: dict[str, int | str] = {
    "grpc.max_receive_message_length": contract.MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": -1,
}

Request = TypeVar("Request")
Response = TypeVar("Response")


def _answer(
    call: Callable[[Request], Response], request: Request, context: grpc.ServicerContext
) -> Response:
    # A deadline may have passed while the call waited for a thread.
    if not context.is_active():
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the caller waits no longer")
    try:
        return call(request)
    except StatusError as error:
        context.abort(_CODES[int(error.code)], error.message)
    except Exception as error:
        log_internal(error)
        context.abort(grpc.StatusCode.INTERNAL, f"internal: {type(error).__name__}")
    raise AssertionError("abort always raises")


def log_internal(error: Exception) -> None:
    """Logs where an unexpected error arose; its text might quote a history."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the rest is refused, as no signature fits it."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a PredictRequest by a serialized PredictResponse."""
        return _answer(self._api.predict, request, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a GetModelMetadataRequest."""
        return _answer(self._api.metadata, request, context)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused: no signature classifies."""
        _answer(lambda r: self._api.refuse(model_api.CLASSIFY, r), request, context)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused: no signature regresses."""
        _answer(lambda r: self._api.refuse(model_api.REGRESS, r), request, context)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused, as Classify and Regress are."""
        _answer(self._api.refuse_inference, request, context)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus, and HandleReloadConfigRequest where it is enabled."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a GetModelStatusRequest."""
        return _answer(self._api.status, request, context)

    def HandleReloadConfigRequest(
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Serves another configuration's models; UNIMPLEMENTED unless enabled."""
        return _answer(self._api.reload, request, context)


@dataclasses.dataclass(frozen=True)
class GrpcOptions:
    """How the gRPC port is offered, and what a process takes on.

    Attributes:
        ssl_config: see `config_files.read_ssl`; None for no TLS.
        tokens: of which a call must bring one; none for any call.
        is_health_offered: whether grpc.health.v1 answers.
        channel_arguments: gRPC's own, over the defaults.
        socket_path: of a Unix socket to listen on besides.
        threads: calls in work at a time.
        max_concurrent: calls in work or waiting for a thread; more are
            RESOURCE_EXHAUSTED at once.
        max_per_second: Predict calls; more are RESOURCE_EXHAUSTED; None for any number.
        shares_port: whether other processes listen on the port too.
    """

    ssl_config: Any = None
    tokens: tuple[str, ...] = ()
    is_health_offered: bool = False
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    socket_path: str = ""
    threads: int = 4 * (os.cpu_count() or 1)
    max_concurrent: int = 1024
    max_per_second: float | None = None
    shares_port: bool = False


HEALTH_SERVICES = (
    *("", "ModelService", "PredictionService"),
    *("tensorflow.serving.ModelService", "tensorflow.serving.PredictionService"),
)
"""TF Serving's names without the package, and the full ones that probes expect."""


def start(
    api: ModelApi, host: str, port: int, options: GrpcOptions | None = None
) -> tuple[grpc.Server, int]:
    """Serves both services.

    Args:
        api: what answers.
        host: address to listen on.
        port: 0 for any free one.
        options: plain and open by default.

    Returns:
        The started server and its port.

    Raises:
        StatusError: UNAVAILABLE if the port cannot be had.
    """
    options = options or GrpcOptions()
    server = grpc.server(
        futures.ThreadPoolExecutor(options.threads, "grpc"),
        interceptors=_interceptors(options),
        maximum_concurrent_rpcs=options.max_concurrent,
        options=list(_arguments(options).items()),
    )
    service = PredictionService(api)
    server.add_generic_rpc_handlers((_serialized_predict(service),))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(api), server)
    if options.is_health_offered:
        _add_health(server)
    bound = _listen(server, f"{host}:{port}", options)
    if options.socket_path:
        _listen(server, f"unix:{options.socket_path}", options)
    server.start()
    return server, bound


def _serialized_predict(service: PredictionService) -> grpc.GenericRpcHandler:
    """Predict, whose answers are messages already; asked before the generated one."""
    method = grpc.unary_unary_rpc_method_handler(
        service.Predict, request_deserializer=predict_pb2.PredictRequest.FromString
    )
    return grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService", {"Predict": method}
    )


def _interceptors(options: GrpcOptions) -> list[grpc.ServerInterceptor]:
    """Who has no token is told so before anything is counted."""
    found: list[grpc.ServerInterceptor] = []
    if options.tokens:
        found.append(security.TokenInterceptor(security.Tokens(options.tokens)))
    if options.max_per_second is not None:
        limit = admission.RateLimit(options.max_per_second)
        found.append(admission.ShedInterceptor(limit))
    return found


def _arguments(options: GrpcOptions) -> dict[str, int | str]:
    # Two servers on one port must not share its traffic unnoticed.
    shared = {"grpc.so_reuseport": int(options.shares_port)}
    return {**_ARGUMENTS, **shared, **dict(options.channel_arguments)}


def _add_health(server: grpc.Server) -> None:
    servicer = health.HealthServicer()
    for name in HEALTH_SERVICES:
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _listen(server: grpc.Server, address: str, options: GrpcOptions) -> int:
    try:
        if options.ssl_config is None:
            bound = server.add_insecure_port(address)
        else:
            credentials = security.server_credentials(options.ssl_config)
            bound = server.add_secure_port(address, credentials)
    except RuntimeError:
        bound = 0
    if not bound:
        raise StatusError(Code.UNAVAILABLE, f"cannot listen on {address} (gRPC)")
    return int(bound)

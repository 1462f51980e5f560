"""`PredictionService` and `ModelService` over gRPC.

Only the `*_pb2_grpc` modules are imported: `prediction_service_pb2` and
`model_service_pb2` of tensorflow-serving-api 2.16 do not import with protobuf 4.25.
"""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Callable
from concurrent import futures
from typing import Any, NoReturn, TypeVar

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import admission, contract
from serving.api import ModelApi
from serving.contract import Code, StatusError

log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}
Request = TypeVar("Request")
Response = TypeVar("Response")


def _answer(
    call: Callable[[Request], Response], request: Request, context: grpc.ServicerContext
) -> Response:
    # A deadline may have passed while the call waited for a thread.
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, "the caller is gone")
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


def _unimplemented(context: grpc.ServicerContext, name: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not implemented")
    raise AssertionError("abort always raises")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the rest is UNIMPLEMENTED."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a PredictRequest."""
        return _answer(self._api.predict, request, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a GetModelMetadataRequest."""
        return _answer(self._api.metadata, request, context)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused: no signature classifies."""
        _unimplemented(context, "Classify")

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused: no signature regresses."""
        _unimplemented(context, "Regress")

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refused, as Classify and Regress are."""
        _unimplemented(context, "MultiInference")


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; HandleReloadConfigRequest is UNIMPLEMENTED."""

    def __init__(self, api: ModelApi) -> None:
        """Takes what answers."""
        self._api = api

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers a GetModelStatusRequest."""
        return _answer(self._api.status, request, context)

    def HandleReloadConfigRequest(
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Refused: whoever reaches the port could otherwise change what is served."""
        _unimplemented(context, "HandleReloadConfigRequest")


@dataclasses.dataclass(frozen=True)
class Load:
    """What a process takes on.

    Attributes:
        threads: calls in work at a time.
        max_concurrent: calls in work or waiting for a thread; more are
            RESOURCE_EXHAUSTED at once.
        max_per_second: Predict calls; more are RESOURCE_EXHAUSTED; None for any number.
        shares_port: whether other processes listen on the port too.
    """

    threads: int
    max_concurrent: int
    max_per_second: float | None
    shares_port: bool

    def interceptors(self) -> list[grpc.ServerInterceptor]:
        """What stands before the services."""
        if self.max_per_second is None:
            return []
        limit = admission.RateLimit(self.max_per_second)
        return [admission.ShedInterceptor(limit)]


def start(api: ModelApi, host: str, port: int, load: Load) -> tuple[grpc.Server, int]:
    """Serves both services.

    Args:
        api: what answers.
        host: address to listen on.
        port: 0 for any free one.
        load: what the process takes on.

    Returns:
        The started server and its port.

    Raises:
        StatusError: UNAVAILABLE if the port cannot be had.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(load.threads, "grpc"),
        interceptors=load.interceptors(),
        maximum_concurrent_rpcs=load.max_concurrent,
        options=[
            ("grpc.max_receive_message_length", contract.MAX_REQUEST_BYTES),
            ("grpc.max_send_message_length", -1),
            # Two servers on one port must not share its traffic unnoticed.
            ("grpc.so_reuseport", int(load.shares_port)),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(api), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(api), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise StatusError(Code.UNAVAILABLE, f"cannot listen on {host}:{port} (gRPC)")
    server.start()
    return server, bound

"""`PredictionService` and `ModelService`: what gRPC hands in, as calls of `ModelApi`.

Messages come and go as bytes: one that is no message is refused like any other fault.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.frontends import api as model_api
from serving.frontends.api import ModelApi
from serving.status import StatusError

log = logging.getLogger(__name__)

_PREDICTION, _MODEL = (
    f"tensorflow.serving.{name}" for name in ("PredictionService", "ModelService")
)

_TOO_MANY = StatusError(
    StatusCode.RESOURCE_EXHAUSTED,
    "more calls than --max_concurrent_requests are in work or wait: try later",
)

Answer = Callable[[Any], Awaitable[bytes]]


def log_internal(error: Exception) -> None:
    """Logs where an unexpected error arose; its text might quote a history."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)


class Calls:
    """The methods of both services.

    Attributes:
        handlers: of gRPC's event loop, a service each.
    """

    def __init__(
        self, api: ModelApi, threads: futures.Executor, max_concurrent: int
    ) -> None:
        """Takes what answers, where it may block, and how many calls it works on.

        gRPC's own limit ends those beyond it as if their callers had cancelled them.
        """
        self._api = api
        self._threads = threads
        self._max_concurrent = max_concurrent
        self._in_work = 0
        prediction = {
            "Predict": self._blocking(predict_pb2.PredictRequest, api.predict),
            "GetModelMetadata": self._blocking(
                get_model_metadata_pb2.GetModelMetadataRequest, api.metadata
            ),
            "Classify": self._blocking(
                classification_pb2.ClassificationRequest,
                lambda request: api.refuse(model_api.CLASSIFY, request),
            ),
            "Regress": self._blocking(
                regression_pb2.RegressionRequest,
                lambda request: api.refuse(model_api.REGRESS, request),
            ),
            "MultiInference": self._blocking(
                inference_pb2.MultiInferenceRequest, api.refuse_inference
            ),
        }
        model = {
            "GetModelStatus": self._blocking(
                get_model_status_pb2.GetModelStatusRequest, api.status
            ),
            "HandleReloadConfigRequest": self._blocking(
                model_management_pb2.ReloadConfigRequest, api.reload
            ),
        }
        self.handlers = [
            grpc.method_handlers_generic_handler(_PREDICTION, prediction),
            grpc.method_handlers_generic_handler(_MODEL, model),
        ]

    def _blocking(self, kind: Any, call: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
        def serialized(request: Any) -> bytes:
            return bytes(call(request).SerializeToString())

        async def answer(request: Any) -> bytes:
            # Those that still wait for a thread when their caller goes are not run.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, serialized, request)

        return self._handler(kind, answer)

    def _handler(self, kind: Any, answer: Answer) -> grpc.RpcMethodHandler:
        async def handle(data: bytes, context: Any) -> bytes:
            status = _TOO_MANY
            if self._in_work < self._max_concurrent:
                self._in_work += 1
                try:
                    return await answer(kind.FromString(data))
                except Exception as error:
                    status = _status(error, kind)
                finally:
                    self._in_work -= 1
            await context.abort(status.code, status.message)
            raise AssertionError("abort always raises")

        return grpc.unary_unary_rpc_method_handler(handle)


def _status(error: Exception, kind: Any) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, DecodeError):
        name = kind.DESCRIPTOR.full_name
        return StatusError(StatusCode.INTERNAL, f"the request is no {name}")
    log_internal(error)
    return StatusError(StatusCode.INTERNAL, f"internal: {type(error).__name__}")

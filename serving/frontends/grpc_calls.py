"""`PredictionService` and `ModelService`: messages of gRPC as calls of `ModelApi`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi, spec_of
from serving.status import StatusError, status_of

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"


class Gate(aio.ServerInterceptor):
    """Refuses calls before their message is read; health probes pass."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """The handler of a call, or one that refuses it."""
        method = handler_call_details.method
        try:
            if not method.startswith("/grpc.health.v1.Health/"):
                metadata = handler_call_details.invocation_metadata or ()
                headers = [str(v) for name, v in metadata if name == "authorization"]
                self._admission.authorize(headers)
            if method == f"/{_PREDICTION}/Predict":
                self._admission.take()
        except StatusError as error:
            return _refusal(error)
        return await continuation(handler_call_details)


def _refusal(error: StatusError) -> grpc.RpcMethodHandler:
    # A stream of requests that is not read: the message stays where it is.
    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(error.code, error.message)

    return grpc.stream_unary_rpc_method_handler(refuse)


def handlers(api: ModelApi, admission: Admission) -> list[grpc.GenericRpcHandler]:
    """The methods of both services, for gRPC's event loop."""

    def blocking(kind: Any, call: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
        def answer(data: bytes) -> bytes:
            return bytes(call(kind.FromString(data)).SerializeToString())

        return _handler(lambda data: admission.run(answer, data))

    def refused(kind: Any, method: str) -> grpc.RpcMethodHandler:
        return blocking(kind, lambda request: api.refuse(method, spec_of(request)))

    async def reload(data: bytes) -> bytes:
        request = model_management_pb2.ReloadConfigRequest.FromString(data)
        return bytes((await api.reload(request)).SerializeToString())

    metadata = get_model_metadata_pb2.GetModelMetadataRequest
    multi_inference = inference_pb2.MultiInferenceRequest
    prediction = {
        "Predict": blocking(predict_pb2.PredictRequest, api.predict),
        "GetModelMetadata": blocking(metadata, api.metadata),
        "Classify": refused(classification_pb2.ClassificationRequest, "classify"),
        "Regress": refused(regression_pb2.RegressionRequest, "regress"),
        "MultiInference": blocking(multi_inference, api.refuse_inference),
    }
    status = blocking(get_model_status_pb2.GetModelStatusRequest, api.status)
    model = {"GetModelStatus": status, "HandleReloadConfigRequest": _handler(reload)}
    return [
        grpc.method_handlers_generic_handler(_PREDICTION, prediction),
        grpc.method_handlers_generic_handler(_MODEL, model),
    ]


def _handler(answer: Callable[[bytes], Awaitable[bytes]]) -> grpc.RpcMethodHandler:
    async def handle(data: bytes, context: Any) -> bytes:
        try:
            return await answer(data)
        except Exception as error:
            status = status_of(error)
        await context.abort(status.code, status.message)
        raise AssertionError("abort always raises")

    return grpc.unary_unary_rpc_method_handler(handle)

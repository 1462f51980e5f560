"""The gRPC port: `PredictionService` and `ModelService` as calls of `ModelApi`."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving import config_files, limits
from serving.frontends.addresses import url_host
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.status import StatusError, status_of

_INT32_MAX = 2**31 - 1
_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
Method = Callable[[bytes], Awaitable[bytes]]
# TF Serving's names without the package, and the full ones that probes expect.
_HEALTH_SERVICES = ("", "ModelService", "PredictionService", _MODEL, _PREDICTION)


class GrpcPort:
    """Both services on a port, with the flags of the command line."""

    def __init__(
        self, api: ModelApi, admission: Admission, args: argparse.Namespace
    ) -> None:
        self._calls, self._args = Calls(api, admission), args
        self._credentials = _credentials(args)

    async def start(self) -> int:
        """Listens; the number of the port."""
        arguments: dict[str, int | str] = {
            "grpc.max_receive_message_length": limits.MAX_REQUEST_BYTES,
            "grpc.max_send_message_length": -1,
            "grpc.max_allowed_incoming_connections": limits.MAX_CONNECTIONS,
            # Two servers on one port must not share its traffic unnoticed.
            "grpc.so_reuseport": 0,
            # Beyond these gRPC ends calls as if their callers had cancelled them; the
            # bound that answers is --max_concurrent_requests.
            "grpc.server.max_pending_requests": _INT32_MAX,
            "grpc.server.max_pending_requests_hard_limit": _INT32_MAX,
            **dict(self._args.grpc_channel_arguments or ()),
        }
        self._server = aio.server(options=[*arguments.items()])
        self._server.add_generic_rpc_handlers([self._calls])
        if self._args.enable_grpc_healthcheck_service:
            servicer = health.aio.HealthServicer()
            for name in _HEALTH_SERVICES:
                await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        number = self._bind(f"{url_host(self._args.host)}:{self._args.port}")
        if self._args.grpc_socket_path:
            self._bind(f"unix:{self._args.grpc_socket_path}")
        await self._server.start()
        return number

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new call and waits for those in flight."""
        await self._server.stop(grace_seconds)

    def _bind(self, address: str) -> int:
        try:
            return int(self._server.add_secure_port(address, self._credentials))
        except RuntimeError as error:
            text = f"cannot listen on {address} (gRPC)"
            raise StatusError(StatusCode.UNAVAILABLE, text) from error


def _credentials(args: argparse.Namespace) -> grpc.ServerCredentials:
    if args.use_alts_credentials:
        return grpc.alts_server_credentials()
    if args.ssl_config_file is None:
        return grpc.insecure_server_credentials()
    config = config_files.read_ssl(args.ssl_config_file)
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


class Calls(grpc.GenericRpcHandler):
    """The methods of both services; what is refused is so before it is read."""

    def __init__(self, api: ModelApi, admission: Admission) -> None:
        self._admission = admission
        metadata = get_model_metadata_pb2.GetModelMetadataRequest

        def method(kind: Any, call: Callable[[Any], Any]) -> Method:
            return functools.partial(admission.run, _answer, kind, call)

        async def reload(data: bytes) -> bytes:
            request = model_management_pb2.ReloadConfigRequest.FromString(data)
            return bytes((await api.reload(request)).SerializeToString())

        prediction = {
            "Predict": method(predict_pb2.PredictRequest, api.predict),
            "GetModelMetadata": method(metadata, api.metadata),
        }
        status = method(get_model_status_pb2.GetModelStatusRequest, api.status)
        model = {"GetModelStatus": status, "HandleReloadConfigRequest": reload}
        self._methods = {
            **{f"{_PREDICTION}/{name}": call for name, call in prediction.items()},
            **{f"{_MODEL}/{name}": call for name, call in model.items()},
        }

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """The handler of a call, or one that refuses it; None of another service."""
        method = handler_call_details.method.removeprefix("/")
        if method not in self._methods:
            return None
        metadata = handler_call_details.invocation_metadata or ()
        try:
            headers = [
                str(value) for name, value in metadata if name == "authorization"
            ]
            self._admission.authorize(headers)
        except StatusError as error:
            return _refusal(error)
        return _handler(self._methods[method])


def _refusal(error: StatusError) -> grpc.RpcMethodHandler:
    # A stream of requests that is not read: the message stays where it is.
    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(error.code, error.message)

    return grpc.stream_unary_rpc_method_handler(refuse)


def _answer(kind: Any, call: Callable[[Any], Any], data: bytes) -> bytes:
    return bytes(call(kind.FromString(data)).SerializeToString())


def _handler(answer: Callable[[bytes], Awaitable[bytes]]) -> grpc.RpcMethodHandler:
    async def handle(data: bytes, context: Any) -> bytes:
        try:
            return await answer(data)
        except Exception as error:
            status = status_of(error)
        await context.abort(status.code, status.message)
        raise AssertionError("abort always raises")

    return grpc.unary_unary_rpc_method_handler(handle)

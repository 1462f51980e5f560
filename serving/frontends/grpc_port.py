"""The gRPC port, in the event loop of the process."""

from __future__ import annotations

import argparse

import grpc
from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving import config_files, limits
from serving.frontends import grpc_calls
from serving.frontends.addresses import url_host
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.status import StatusError

_INT32_MAX = 2**31 - 1
# TF Serving's names without the package, and the full ones that probes expect.
_HEALTH_SERVICES = (
    *("", "ModelService", "PredictionService"),
    *("tensorflow.serving.ModelService", "tensorflow.serving.PredictionService"),
)


class GrpcPort:
    """Both services on a port, with the flags of the command line."""

    def __init__(
        self, api: ModelApi, admission: Admission, args: argparse.Namespace
    ) -> None:
        self._api, self._admission, self._args = api, admission, args
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
        gate = grpc_calls.Gate(self._admission)
        self._server = aio.server(interceptors=[gate], options=[*arguments.items()])
        calls = grpc_calls.handlers(self._api, self._admission)
        self._server.add_generic_rpc_handlers(calls)
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
            number = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            number = 0
        if not number:
            text = f"cannot listen on {address} (gRPC)"
            raise StatusError(StatusCode.UNAVAILABLE, text)
        return int(number)


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

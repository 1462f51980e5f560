"""The gRPC port, in the event loop of the process."""

from __future__ import annotations

import dataclasses
from typing import Any

from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving import limits
from serving.frontends import grpc_calls, security
from serving.frontends.addresses import url_host
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.status import StatusError

_INT32_MAX = 2**31 - 1
_ARGUMENTS: dict[str, int | str] = {
    "grpc.max_receive_message_length": limits.MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": -1,
    # Two servers on one port must not share its traffic unnoticed.
    "grpc.so_reuseport": 0,
    # Beyond these gRPC ends calls as if their callers had cancelled them; the bound
    # that answers is --max_concurrent_requests.
    "grpc.server.max_pending_requests": _INT32_MAX,
    "grpc.server.max_pending_requests_hard_limit": _INT32_MAX,
}
HEALTH_SERVICES = (
    *("", "ModelService", "PredictionService"),
    *("tensorflow.serving.ModelService", "tensorflow.serving.PredictionService"),
)
"""TF Serving's names without the package, and the full ones that probes expect."""


@dataclasses.dataclass(frozen=True)
class GrpcOptions:
    """How the gRPC port is offered.

    Attributes:
        ssl_config: see `config_files.read_ssl`; None for no TLS.
        is_health_offered: whether grpc.health.v1 answers.
        channel_arguments: gRPC's own, over the defaults.
        socket_path: of a Unix socket to listen on besides.
    """

    ssl_config: Any = None
    is_health_offered: bool = False
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    socket_path: str = ""


class GrpcPort:
    """Both services on a port, from `start` to `stop`."""

    def __init__(
        self, api: ModelApi, admission: Admission, options: GrpcOptions
    ) -> None:
        """Keeps the API, the admission of calls and the port's options."""
        self._api, self._admission, self._options = api, admission, options

    async def start(self, host: str, port: int) -> int:
        """Listens.

        Args:
            host: address to listen on.
            port: 0 for any free one.

        Returns:
            The port.

        Raises:
            StatusError: UNAVAILABLE if the port cannot be had.
        """
        arguments = {**_ARGUMENTS, **dict(self._options.channel_arguments)}
        self._server = aio.server(
            interceptors=[grpc_calls.Gate(self._admission)],
            options=list(arguments.items()),
        )
        calls = grpc_calls.handlers(self._api, self._admission)
        self._server.add_generic_rpc_handlers(calls)
        if self._options.is_health_offered:
            await _add_health(self._server)
        bound = self._bind(f"{url_host(host)}:{port}")
        if self._options.socket_path:
            self._bind(f"unix:{self._options.socket_path}")
        await self._server.start()
        return bound

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new call and waits for those in flight."""
        await self._server.stop(grace_seconds)

    def _bind(self, address: str) -> int:
        try:
            if self._options.ssl_config is None:
                bound = self._server.add_insecure_port(address)
            else:
                credentials = security.server_credentials(self._options.ssl_config)
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            raise StatusError(
                StatusCode.UNAVAILABLE, f"cannot listen on {address} (gRPC)"
            )
        return int(bound)


async def _add_health(server: aio.Server) -> None:
    servicer = health.aio.HealthServicer()
    for name in HEALTH_SERVICES:
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

"""The gRPC port: an event loop in a thread of its own.

A thread for each call, as gRPC's other server has it, costs Python more than the call.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
from concurrent import futures
from typing import Any

import uvloop
from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving import limits
from serving.frontends import admission, security
from serving.frontends.api import ModelApi
from serving.frontends.grpc_calls import Calls
from serving.status import StatusError

_ARGUMENTS: dict[str, int | str] = {
    "grpc.max_receive_message_length": limits.MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": -1,
    # Two servers on one port must not share its traffic unnoticed.
    "grpc.so_reuseport": 0,
}


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
    """

    ssl_config: Any = None
    tokens: tuple[str, ...] = ()
    is_health_offered: bool = False
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    socket_path: str = ""
    threads: int = 4 * (os.cpu_count() or 1)
    max_concurrent: int = 1024
    max_per_second: float | None = None


HEALTH_SERVICES = (
    *("", "ModelService", "PredictionService"),
    *("tensorflow.serving.ModelService", "tensorflow.serving.PredictionService"),
)
"""TF Serving's names without the package, and the full ones that probes expect."""


class GrpcServer:
    """Both services on a port, from `start` to `stop`."""

    def __init__(self, api: ModelApi, options: GrpcOptions | None = None) -> None:
        """Takes what answers; plain and open by default."""
        self._api = api
        self._options = options or GrpcOptions()
        self._loop = uvloop.new_event_loop()
        self._threads = futures.ThreadPoolExecutor(self._options.threads, "grpc")
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)

    def start(self, host: str, port: int) -> int:
        """Listens.

        Args:
            host: address to listen on.
            port: 0 for any free one.

        Returns:
            The port.

        Raises:
            StatusError: UNAVAILABLE if the port cannot be had.
        """
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(
            self._listen(f"{host}:{port}"), self._loop
        )
        try:
            return listening.result()
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise

    def stop(self, grace_seconds: float) -> futures.Future[None]:
        """Takes no new call; the result is there when those in work are done.

        Args:
            grace_seconds: how long they may go on.
        """
        stopping = self._stop(grace_seconds)
        stopped = asyncio.run_coroutine_threadsafe(stopping, self._loop)
        stopped.add_done_callback(
            lambda _: self._loop.call_soon_threadsafe(self._loop.stop)
        )
        return stopped

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._threads.shutdown(wait=False)
        self._loop.close()

    async def _listen(self, address: str) -> int:
        options = self._options
        self._server = aio.server(
            interceptors=_interceptors(options),
            options=list(_arguments(options).items()),
        )
        calls = Calls(self._api, self._threads, options.max_concurrent)
        self._server.add_generic_rpc_handlers(calls.handlers)
        if options.is_health_offered:
            await _add_health(self._server)
        bound = _bind(self._server, address, options)
        if options.socket_path:
            _bind(self._server, f"unix:{options.socket_path}", options)
        await self._server.start()
        return bound

    async def _stop(self, grace_seconds: float) -> None:
        await self._server.stop(grace_seconds)
        await self._loop.shutdown_default_executor()


def _interceptors(options: GrpcOptions) -> list[aio.ServerInterceptor]:
    """Who has no token is told so before anything is counted."""
    found: list[aio.ServerInterceptor] = []
    if options.tokens:
        found.append(security.TokenInterceptor(security.Tokens(options.tokens)))
    if options.max_per_second is not None:
        limit = admission.RateLimit(options.max_per_second)
        found.append(admission.ShedInterceptor(limit))
    return found


def _arguments(options: GrpcOptions) -> dict[str, int | str]:
    return {**_ARGUMENTS, **dict(options.channel_arguments)}


async def _add_health(server: aio.Server) -> None:
    servicer = health.aio.HealthServicer()
    for name in HEALTH_SERVICES:
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _bind(server: aio.Server, address: str, options: GrpcOptions) -> int:
    try:
        if options.ssl_config is None:
            bound = server.add_insecure_port(address)
        else:
            credentials = security.server_credentials(options.ssl_config)
            bound = server.add_secure_port(address, credentials)
    except RuntimeError:
        bound = 0
    if not bound:
        raise StatusError(StatusCode.UNAVAILABLE, f"cannot listen on {address} (gRPC)")
    return int(bound)

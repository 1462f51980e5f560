"""The REST port, by aiohttp, in the event loop of the process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from aiohttp import web
from grpc import StatusCode

from serving import limits, metrics
from serving.frontends import addresses, http_bodies
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.frontends.faults import status_of
from serving.frontends.http_connection import Connection, HttpError, error_response
from serving.frontends.rest_api import RestApi, Target
from serving.status import StatusError

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}
_PARSER_OPTIONS: dict[str, Any] = {
    "access_log": None,
    # Unpacked here, within a bound.
    "auto_decompress": False,
    # What is read of a body before its request may be taken on.
    "read_bufsize": 2**16,
}


@dataclasses.dataclass(frozen=True)
class HttpOptions:
    """How the REST port is offered.

    Attributes:
        metrics_path: where metrics are read; None for nowhere.
        timeout_seconds: the longest time of a request, and of the pause before it.
        allows_origins: whether pages of any origin may ask (CORS).
        max_connections: connections at a time; more are closed.
    """

    metrics_path: str | None = None
    timeout_seconds: float = limits.REST_TIMEOUT_SECONDS
    allows_origins: bool = False
    max_connections: int = limits.MAX_REST_CONNECTIONS


class _Server(web.Server):
    """Makes connections of our own kind."""

    new_connection: Callable[[_Server], Connection]

    def __call__(self) -> Connection:
        """A connection."""
        return self.new_connection(self)


class HttpPort:
    """The REST API on a port, from `start` to `stop`."""

    def __init__(
        self, api: ModelApi, admission: Admission, options: HttpOptions
    ) -> None:
        """Takes what answers, what it takes on, and how the port is offered."""
        self._api, self._admission, self._options = api, admission, options
        self._rest = RestApi(api)
        self._bodies = http_bodies.Bodies()
        self._in_flight = 0
        self._is_draining = False

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
        bound = addresses.bind(host, port, "REST")
        loop = asyncio.get_running_loop()
        options = self._options

        def new_connection(server: web.Server) -> Connection:
            bounds = (options.timeout_seconds, options.max_connections)
            return Connection(server, *bounds, loop=loop, **_PARSER_OPTIONS)

        self._server = _Server(self._handle, handler_cancellation=True)
        self._server.new_connection = new_connection
        self._listener = await loop.create_server(
            self._server, sock=bound, backlog=1024
        )
        return int(bound.getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new connection and waits for requests in flight."""
        self._is_draining = True
        self._listener.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_seconds
        for connection in self._server.connections:
            if isinstance(connection, Connection) and connection.is_idle:
                connection.force_close()
        while self._server.connections and loop.time() < end:
            await asyncio.sleep(0.05)
        await self._server.shutdown(0.1)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = _connection(request)
        if connection.is_cut(request):
            raise ConnectionResetError
        try:
            async with asyncio.timeout_at(connection.deadline):
                response = await self._answer(request)
        except TimeoutError:
            response = self._failed(request, _out_of_time())
        except ConnectionError:
            raise
        except Exception as error:
            response = self._failed(request, status_of(error))
        if self._options.allows_origins:
            response.headers.update(_CORS)
        is_read = request.content.is_eof() and "Upgrade" not in request.headers
        if self._is_draining or not is_read:
            response.force_close()
        return response

    def _failed(self, request: web.BaseRequest, error: StatusError) -> web.Response:
        # A body that is not read to its end must never become the next request.
        is_last = not request.content.is_eof()
        if isinstance(error, HttpError) and error.http_status == 400:
            is_last = True
        return error_response(error, is_last)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        http_bodies.check_framing(request)
        path = request.rel_url.raw_path
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS" and self._options.allows_origins:
            return web.Response()
        self._admission.authorize(request.headers.getall("Authorization", []))
        if method == "GET":
            # What a GET carries besides is read, and means nothing.
            await self._bodies.read(request)
            if path == self._options.metrics_path:
                return web.Response(text=metrics.page())
            target = Target(method, path)
            return _document(await self._admission.run(self._rest.get, target))
        return await self._post(request, Target(method, path))

    async def _post(self, request: web.BaseRequest, target: Target) -> web.Response:
        """Who may ask, and for what, is settled before the body is read."""
        with self._api.counted(target.spec.name, target.method.title(), "REST"):
            self._admission.take()
            self._api.check(target.spec)
            http_bodies.check_length(request)
            await _continue(request)
            body = await self._bodies.read(request)

            def answer() -> bytes:
                return self._rest.post(target, http_bodies.unpacked(request, body))

            return _document(await self._admission.run(answer))


def _connection(request: web.BaseRequest) -> Connection:
    assert isinstance(request.protocol, Connection)
    return request.protocol


async def _continue(request: web.BaseRequest) -> None:
    expected = request.headers.get("Expect", "").lower()
    if not expected or request.version < (1, 1):
        return
    if expected != "100-continue":
        raise HttpError(417, f"Expect must be 100-continue. Received: {expected}")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The response itself has not begun.
    request.writer.output_size = 0


def _document(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _out_of_time() -> StatusError:
    return StatusError(
        StatusCode.DEADLINE_EXCEEDED,
        "the request took longer than --rest_api_timeout_in_ms",
    )

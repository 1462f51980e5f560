"""The REST port, by aiohttp, in the event loop of the process."""

from __future__ import annotations

import argparse
import asyncio

from aiohttp import web
from grpc import StatusCode

from serving import config_files, metrics
from serving.frontends import addresses, http_bodies
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.frontends.http_connection import Connection, HttpError, error_response
from serving.frontends.rest_api import RestApi, Target
from serving.status import StatusError, status_of

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}


class HttpPort:
    """The REST API on a port, with the flags of the command line."""

    def __init__(
        self, api: ModelApi, admission: Admission, args: argparse.Namespace
    ) -> None:
        self._api, self._admission, self._args = api, admission, args
        self._rest, self._bodies = RestApi(api), http_bodies.Bodies()
        self._metrics_path, self._is_draining = None, False
        if file := args.monitoring_config_file:
            self._metrics_path = config_files.read_metrics_path(file)

    async def start(self) -> int:
        """Listens; the number of the port."""
        bound = addresses.bind(self._args.host, self._args.rest_api_port, "REST")
        loop, seconds = asyncio.get_running_loop(), self._args.rest_api_timeout_in_ms
        self._server = web.Server(self._handle, handler_cancellation=True)
        self._listener = await loop.create_server(
            lambda: Connection(self._server, seconds / 1000, loop),
            sock=bound,
            backlog=1024,
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
        connection = request.protocol
        assert isinstance(connection, Connection)
        if connection.is_cut(request):
            raise ConnectionResetError
        try:
            async with asyncio.timeout_at(connection.deadline):
                response = await self._answer(request)
        except ConnectionError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError):
                text = "the request took longer than --rest_api_timeout_in_ms"
                error = StatusError(StatusCode.DEADLINE_EXCEEDED, text)
            response = _failed(request, status_of(error))
        if self._args.rest_api_enable_cors_support:
            response.headers.update(_CORS)
        is_read = request.content.is_eof() and "Upgrade" not in request.headers
        if self._is_draining or not is_read:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        http_bodies.check_framing(request)
        path = request.rel_url.raw_path
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS" and self._args.rest_api_enable_cors_support:
            return web.Response()
        self._admission.authorize(request.headers.getall("Authorization", []))
        if method == "GET":
            # The body of a GET is read, and means nothing.
            await self._bodies.read(request)
            if path == self._metrics_path:
                return web.Response(text=metrics.page())
            target = Target(method, path)
            return _document(await self._admission.run(self._rest.get, target))
        return await self._post(request, Target(method, path))

    async def _post(self, request: web.BaseRequest, target: Target) -> web.Response:
        """Checks permission and model before it reads the body."""
        with self._api.counted(target.spec.name, target.method.title(), "REST"):
            self._admission.take()
            self._api.servable(target.spec)
            http_bodies.check_length(request)
            await _continue(request)
            body = await self._bodies.read(request)

            def answer() -> bytes:
                return self._rest.post(target, http_bodies.unpacked(request, body))

            return _document(await self._admission.run(answer))


def _failed(request: web.BaseRequest, error: StatusError) -> web.Response:
    # A body that is not read to its end must never become the next request.
    is_malformed = isinstance(error, HttpError) and error.http_status == 400
    return error_response(error, is_malformed or not request.content.is_eof())


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

"""The REST port, by aiohttp, in the event loop of the process."""

from __future__ import annotations

import argparse
import asyncio
import re
import zlib

from aiohttp import web
from grpc import StatusCode

from serving import config_files, limits, metrics
from serving.frontends import addresses, try_page
from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.frontends.http_connection import Connection, HttpError, error_response
from serving.frontends.rest_api import RestApi, Target
from serving.status import StatusError, invalid, status_of

_LENGTH = re.compile(r"0|[1-9][0-9]*")

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
        self._rest, self._held_bytes = RestApi(api), 0
        self._seconds = args.rest_api_timeout_in_ms / 1000
        file, self._is_draining = args.monitoring_config_file, False
        self._metrics_path = config_files.read_metrics_path(file)

    async def start(self) -> int:
        """Listens; the number of the port."""
        bound = addresses.bind(self._args.host, self._args.rest_api_port, "REST")
        loop = asyncio.get_running_loop()
        self._server = web.Server(self._handle, handler_cancellation=True)
        self._listener = await loop.create_server(
            lambda: Connection(self._server, self._seconds, loop),
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
            async with asyncio.timeout(self._seconds):
                response = await self._answer(request)
        except ConnectionError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError):
                text = "the request took longer than --rest_api_timeout_in_ms"
                error = StatusError(StatusCode.DEADLINE_EXCEEDED, text)
            response = error_response(status_of(error))
        if self._args.rest_api_enable_cors_support:
            response.headers.update(_CORS)
        # A body that is not read to its end must never become the next request.
        is_read = request.content.is_eof() and "Upgrade" not in request.headers
        if self._is_draining or not is_read:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        _check_framing(request)
        path = request.rel_url.raw_path
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS" and self._args.rest_api_enable_cors_support:
            return web.Response()
        if self._args.ui and method == "GET" and (page := try_page.file(path)):
            return page
        self._admission.authorize(request.headers.getall("Authorization", []))
        if method == "GET":
            # The body of a GET is read, and means nothing.
            await self._read(request)
            if path == self._metrics_path:
                return web.Response(text=metrics.page())
            if self._args.ui and path.startswith(try_page.ROOT):
                return try_page.text(
                    await self._admission.run(try_page.data, self._api, path)
                )
            target = Target(method, path)
            return _document(await self._admission.run(self._rest.get, target))
        return await self._post(request, Target(method, path))

    async def _post(self, request: web.BaseRequest, target: Target) -> web.Response:
        """Checks permission and model before it reads the body."""
        with self._api.counted(target.spec.name, target.method.title(), "REST"):
            self._api.servable(target.spec)
            _check_length(request)
            await _continue(request)
            body = await self._read(request)

            def answer() -> bytes:
                return self._rest.post(target, _unpacked(request, body))

            return _document(await self._admission.run(answer))

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body as it was sent; all in memory at a time share a bound."""
        _check_length(request)
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.content.iter_any():
                size += len(chunk)
                self._held_bytes += len(chunk)
                if size > limits.MAX_REQUEST_BYTES:
                    raise _too_long()
                if self._held_bytes > limits.MAX_BODIES_BYTES:
                    raise StatusError(
                        StatusCode.RESOURCE_EXHAUSTED,
                        "too many large requests at a time: retry later",
                    )
                chunks.append(chunk)
        except web.RequestPayloadError as error:
            raise _malformed("body") from error
        finally:
            self._held_bytes -= size
        return b"".join(chunks)


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


def _check_framing(request: web.BaseRequest) -> None:
    """Refuses what a proxy may read otherwise: targets, versions, lengths, codings."""
    if request.version > (1, 1):
        raise _malformed("the version must be 1.0 or 1.1")
    if "#" in request.raw_path:
        raise _malformed("the target must have no fragment")
    length = request.headers.get("Content-Length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise _malformed("Content-Length must be a number without leading zeros")
    codings = request.headers.getall("Transfer-Encoding", [])
    is_chunked = [coding.lower() for coding in codings] == ["chunked"]
    is_single = length is None and request.version >= (1, 1)
    if codings and not (is_chunked and is_single):
        raise _malformed("Transfer-Encoding must be chunked")


def _check_length(request: web.BaseRequest) -> None:
    """Refuses a body that is announced too long, or packed in an unknown way."""
    if (request.content_length or 0) > limits.MAX_REQUEST_BYTES:
        raise _too_long()
    if _coding(request) not in ("", "identity", "gzip"):
        raise HttpError(
            415, f"Content-Encoding must be gzip. Received: {_coding(request)}"
        )


def _unpacked(request: web.BaseRequest, body: bytes) -> bytes:
    """The body without its Content-Encoding."""
    if _coding(request) != "gzip":
        return body
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(body, limits.MAX_REQUEST_BYTES + 1)
    except zlib.error as error:
        raise invalid("the body is no gzip") from error
    if len(plain) > limits.MAX_REQUEST_BYTES:
        raise _too_long()
    if not unpacking.eof or unpacking.unused_data:
        raise invalid("the body is no gzip, whole and alone")
    return plain


def _coding(request: web.BaseRequest) -> str:
    return ", ".join(request.headers.getall("Content-Encoding", [])).strip().lower()


def _malformed(reason: str) -> HttpError:
    return HttpError(400, f"Malformed HTTP request: {reason}")


def _too_long() -> HttpError:
    return HttpError(413, f"a body may have {limits.MAX_REQUEST_BYTES} bytes at most")

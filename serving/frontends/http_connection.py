"""A connection of the REST port: aiohttp's, with bounds on time and on how it ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from typing import Any

from aiohttp import web
from grpc import StatusCode

from serving import limits
from serving.status import HTTP_STATUS, StatusError

_LINGER_SECONDS = 2.0
_VERSION, _METHOD = re.compile(rb"HTTP/1\.[01]\r\n"), re.compile(rb"(?<![ \w])[A-Z]+\Z")
_LONGEST_LINE = 8192
_OPTIONS: dict[str, Any] = {
    "access_log": None,
    # Unpacked here, within a bound.
    "auto_decompress": False,
    "lingering_time": 0,
    # Bytes of a body that are read before its request may be taken on.
    "read_bufsize": 2**16,
}


class HttpError(StatusError):
    """An error with a status of HTTP's own."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(StatusCode.INVALID_ARGUMENT, message)
        self.http_status = http_status


def error_response(error: StatusError) -> web.Response:
    """The JSON answer to an error; after one of HTTP's own the connection closes."""
    status = HTTP_STATUS.get(error.code, 500)
    response = web.Response(
        body=json.dumps({"error": error.message}).encode(),
        content_type="application/json",
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )
    if isinstance(error, HttpError):
        status = error.http_status
        response.force_close()
    response.set_status(status)
    return response


def _ambiguous_line(text: bytes) -> int:
    """Where a request line with further blanks starts, which llhttp skips; or -1."""
    # No pipeline has more; a hostile body must not hold the event loop up.
    for version in itertools.islice(_VERSION.finditer(text), 200):
        end = version.start()
        line = text[max(text.rfind(b"\n", 0, end) + 1, end - _LONGEST_LINE) : end]
        head, _, target = line.rstrip(b" ").rpartition(b" ")
        method = _METHOD.search(head.rstrip(b" ")[-20:])
        if method and line != b"%b %b " % (head.rstrip(b" "), target):
            return end - len(line) + len(head.rstrip(b" ")) - len(method[0])
    return -1


class Connection(web.RequestHandler):
    """One connection, with `seconds` for a request's head and the pause before it.

    Its client has as long to take the answer.
    """

    def __init__(
        self, server: web.Server, seconds: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(server, loop=loop, keepalive_timeout=seconds, **_OPTIONS)
        self._seconds, self._answered, self._line = seconds, 0, b""
        self._is_ended, self.is_idle = asyncio.Event(), True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuses a connection beyond the bound."""
        super().connection_made(transport)
        if self._manager and len(self._manager.connections) > limits.MAX_CONNECTIONS:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the connection."""
        self._is_ended.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Notes that the client sends no more; it may wait for an answer."""
        self._is_ended.set()
        is_asked = self._request_count > self._answered
        if is_asked:
            self.close()
        return is_asked and not self.is_cut(self._current_request)

    def data_received(self, data: bytes) -> None:
        """Reads, up to a request line that may be read in two ways."""
        self.is_idle = self.is_idle and not data
        text = self._line + data
        self._line = text[text.rfind(b"\n") + 1 :][-_LONGEST_LINE:]
        if b"  " in text and (start := _ambiguous_line(text)) >= 0:
            # What came before is answered; NUL is what the parser does refuse.
            super().data_received(text[len(text) - len(data) : start])
            data = b"\0\r\n\r\n"
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, *args: Any
    ) -> Any:
        """Sends a response; the pause, or the connection's end, starts after it."""
        resp.headers["Server"] = "s4rec-serving"
        try:
            async with asyncio.timeout(self._seconds):
                result = await super().finish_response(request, resp, *args)
        except TimeoutError:
            # A close would wait until the client takes what is written.
            if self.transport is not None:
                self.transport.abort()
            return resp, True
        if not resp.keep_alive:
            await self._linger()
        self._answered += 1
        self.is_idle = not self._messages
        return result

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answers malformed HTTP; its bytes are neither logged nor quoted."""
        return error_response(HttpError(status, "Malformed HTTP request"))

    def is_cut(self, request: web.BaseRequest | None) -> bool:
        """Whether the client has ended before the request's body did."""
        is_whole = request is None or request.content.is_eof()
        return self._is_ended.is_set() and not is_whole

    async def _linger(self) -> None:
        """Discards what the client sends until it ends, for a moment at most.

        A connection with unread data that is closed at once is reset, and the answer
        lost.
        """
        self.close()
        transport = self.transport
        if transport is None:
            return
        try:
            transport.write_eof()
            transport.resume_reading()
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._is_ended.wait()
        except (OSError, RuntimeError, TimeoutError):
            return

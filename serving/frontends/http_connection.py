"""A connection of the REST port: aiohttp's, with bounds on time and on how it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from grpc import StatusCode

from serving.status import HTTP_STATUS, StatusError

_LINGER_SECONDS = 2.0
_GRACE_SECONDS = 5.0
"""For the answer of a request that ran out of time to get to its client."""


class HttpError(StatusError):
    """An error with a status of HTTP's own.

    Attributes:
        http_status: the status.
    """

    def __init__(self, http_status: int, message: str) -> None:
        """Takes the status and the text for the client."""
        super().__init__(StatusCode.INVALID_ARGUMENT, message)
        self.http_status = http_status


def error_response(error: StatusError, is_last: bool = False) -> web.Response:
    """The JSON answer to an error.

    Args:
        error: what is wrong.
        is_last: whether the connection ends with it.
    """
    status = HTTP_STATUS.get(error.code, 500)
    if isinstance(error, HttpError):
        status = error.http_status
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    kind = LastResponse if is_last else web.Response
    response = kind(
        status=status,
        body=json.dumps({"error": error.message}).encode(),
        content_type="application/json",
        headers=headers,
    )
    if is_last:
        response.force_close()
    return response


class LastResponse(web.Response):
    """A response after which its connection closes, when its client could read it.

    Closed at once, a connection with unread data is reset, and the answer lost. What
    the client still sends is discarded.
    """

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends the rest and waits for the client's end, a moment at most."""
        connection = self._req.protocol if self._req else None
        await super().write_eof(data)
        if isinstance(connection, Connection):
            await connection.linger()


class Connection(web.RequestHandler):
    """One connection.

    Attributes:
        deadline: when the request that is read must have been answered, in the event
            loop's time.
        is_idle: whether no byte of a request has come.
    """

    def __init__(
        self, server: web.Server, seconds: float, most: int, **options: Any
    ) -> None:
        """Takes the server, the bounds, and aiohttp's options.

        Args:
            server: whose connection it is.
            seconds: for a request from its first byte on; for the pause before it.
            most: connections; this one is refused beyond.
            options: see `aiohttp.web.Server`.
        """
        super().__init__(server, lingering_time=0, **options)
        self._seconds, self._most = seconds, most
        self._is_ended = asyncio.Event()
        self.deadline = 0.0
        self.is_idle = True
        self._answered = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuses a connection too many."""
        super().connection_made(transport)
        if self._manager and len(self._manager.connections) > self._most:
            self.force_close()
        else:
            self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the connection."""
        self._is_ended.set()
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Notes that the client sends no more; it may wait for an answer."""
        self._is_ended.set()
        is_asked = self._request_count > self._answered
        if is_asked:
            self.close()
        return is_asked and not self.is_cut(self._current_request)

    def data_received(self, data: bytes) -> None:
        """Reads; the time of a request starts with its first byte."""
        if self.is_idle and data:
            self.is_idle = False
            self._start_timer()
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, *args: Any
    ) -> Any:
        """Sends a response; the pause starts after it."""
        resp.headers["Server"] = "s4rec-serving"
        result = await super().finish_response(request, resp, *args)
        self._answered += 1
        self.is_idle = not self._messages
        self._start_timer()
        return result

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no HTTP; its bytes are neither logged nor quoted."""
        return error_response(HttpError(status, "Malformed HTTP request"), True)

    def is_cut(self, request: web.BaseRequest | None) -> bool:
        """Whether the client has ended before the request's body did."""
        is_whole = request is None or request.content.is_eof()
        return self._is_ended.is_set() and not is_whole

    async def linger(self) -> None:
        """Discards what the client sends until it ends, for a moment at most."""
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

    def _start_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self.deadline = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self.deadline, self._expire)

    def _expire(self) -> None:
        if self._request_in_progress and self.deadline + 1 > self._loop.time():
            # The request's own time is over too, which it says if it can.
            self._timer = self._loop.call_later(_GRACE_SECONDS, self._expire)
        else:
            self.force_close()

"""Bodies of requests: read within bounds, unpacked within bounds."""

from __future__ import annotations

import zlib

from aiohttp import web
from grpc import StatusCode

from serving import limits
from serving.frontends.http_connection import HttpError
from serving.status import StatusError, invalid_argument

_GZIP = 16 + zlib.MAX_WBITS


def check_framing(request: web.BaseRequest) -> None:
    """Refuses a request whose end a proxy might see elsewhere, and other versions.

    Raises:
        HttpError: 400.
    """
    if request.version > (1, 1):
        raise HttpError(400, "Malformed HTTP request: the version must be 1.0 or 1.1")
    codings = request.headers.getall("Transfer-Encoding", [])
    is_chunked = [coding.lower() for coding in codings] == ["chunked"]
    is_single = "Content-Length" not in request.headers and request.version >= (1, 1)
    if codings and not (is_chunked and is_single):
        raise HttpError(
            400, "Malformed HTTP request: Transfer-Encoding must be chunked"
        )


class Bodies:
    """Reads bodies; all that are held at a time have a bound together."""

    def __init__(self, most: int = limits.MAX_BODIES_BYTES) -> None:
        """Takes the most bytes that are held."""
        self._most = most
        self._held = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """The body as it was sent.

        Raises:
            HttpError: 413 for one that is too long.
            StatusError: RESOURCE_EXHAUSTED if too much is held; INVALID_ARGUMENT for
                one that is cut short or no good chunks.
        """
        check_length(request)
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.content.iter_any():
                size += len(chunk)
                self._held += len(chunk)
                self._check(size)
                chunks.append(chunk)
        except web.RequestPayloadError as error:
            raise HttpError(400, "Malformed HTTP request: body") from error
        finally:
            self._held -= size
        return b"".join(chunks)

    def _check(self, size: int) -> None:
        if size > limits.MAX_REQUEST_BYTES:
            raise _too_long()
        if self._held > self._most:
            raise StatusError(
                StatusCode.RESOURCE_EXHAUSTED,
                "too many large requests at a time: retry later",
            )


def check_length(request: web.BaseRequest) -> None:
    """Refuses a body that is announced too long, or packed in an unknown way.

    Raises:
        HttpError: 413, 415.
    """
    if (request.content_length or 0) > limits.MAX_REQUEST_BYTES:
        raise _too_long()
    if _coding(request) not in ("", "identity", "gzip"):
        raise HttpError(
            415, f"Content-Encoding must be gzip. Received: {_coding(request)}"
        )


def unpacked(request: web.BaseRequest, body: bytes) -> bytes:
    """The body without its Content-Encoding.

    Raises:
        HttpError: 413 if it unpacks to too much.
        StatusError: INVALID_ARGUMENT if it is no gzip.
    """
    if _coding(request) != "gzip":
        return body
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, limits.MAX_REQUEST_BYTES + 1)
    except zlib.error as error:
        raise invalid_argument("the body is no gzip") from error
    if len(plain) > limits.MAX_REQUEST_BYTES:
        raise _too_long()
    if not unpacking.eof or unpacking.unused_data:
        raise invalid_argument("the body is no gzip, whole and alone")
    return plain


def _coding(request: web.BaseRequest) -> str:
    return ", ".join(request.headers.getall("Content-Encoding", [])).strip().lower()


def _too_long() -> HttpError:
    limit = limits.MAX_REQUEST_BYTES
    return HttpError(413, f"a body may have {limit} bytes at most")

"""Bodies of requests: strict framing, read within bounds, unpacked within bounds."""

from __future__ import annotations

import re
import zlib

from aiohttp import web
from grpc import StatusCode

from serving import limits
from serving.frontends.http_connection import HttpError
from serving.status import StatusError, invalid

_LENGTH = re.compile(r"0|[1-9][0-9]*")


def check_framing(request: web.BaseRequest) -> None:
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


def check_length(request: web.BaseRequest) -> None:
    """Refuses a body that is announced too long, or packed in an unknown way."""
    if (request.content_length or 0) > limits.MAX_REQUEST_BYTES:
        raise _too_long()
    if _coding(request) not in ("", "identity", "gzip"):
        raise HttpError(
            415, f"Content-Encoding must be gzip. Received: {_coding(request)}"
        )


class Bodies:
    """Reads bodies; all that are in memory at a time share a bound."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """The body as it was sent."""
        check_length(request)
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.content.iter_any():
                size += len(chunk)
                self._held += len(chunk)
                if size > limits.MAX_REQUEST_BYTES:
                    raise _too_long()
                if self._held > limits.MAX_BODIES_BYTES:
                    raise StatusError(
                        StatusCode.RESOURCE_EXHAUSTED,
                        "too many large requests at a time: retry later",
                    )
                chunks.append(chunk)
        except web.RequestPayloadError as error:
            raise _malformed("body") from error
        finally:
            self._held -= size
        return b"".join(chunks)


def unpacked(request: web.BaseRequest, body: bytes) -> bytes:
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

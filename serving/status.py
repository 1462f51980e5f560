"""Errors with a canonical status, which both protocols share.

Every function of this package that fails because of a request, a file or a flag raises
`StatusError`. Codes and texts are TF Serving's own, since clients match on them.
"""

from __future__ import annotations

import logging
import traceback

from google.protobuf.message import DecodeError
from grpc import StatusCode

HTTP_STATUS = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.UNAUTHENTICATED: 401,
}
"""HTTP status of each code; 500 for those not listed."""

_BY_NUMBER = {code.value[0]: code for code in StatusCode}

log = logging.getLogger(__name__)


class StatusError(Exception):
    """A failed request or load: a canonical status and the text for the client."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> StatusError:
    """An error of the request, whatever the state of the server."""
    return StatusError(StatusCode.INVALID_ARGUMENT, message)


def code_of(number: int) -> StatusCode:
    """The status of a number, which gRPC and `tf.errors` share."""
    return _BY_NUMBER[number]


def status_of(error: Exception) -> StatusError:
    """The error for the client. The text of an unexpected one may quote a history."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, DecodeError):
        return StatusError(
            StatusCode.INTERNAL, "the request is no message of this call"
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
    return StatusError(StatusCode.INTERNAL, f"internal: {type(error).__name__}")

"""Errors with a canonical status, which both protocols share.

Codes and texts are TF Serving's own (tensorflow_serving/servables, model_servers), so
that clients which look for them work against either server.
"""

from __future__ import annotations

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
"""HTTP status of each code; 500 for those not named."""

_BY_NUMBER = {code.value[0]: code for code in StatusCode}


class StatusError(Exception):
    """A request or a load that fails with a canonical status.

    Attributes:
        code: the status.
        message: the text for the client.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def code_of(number: int) -> StatusCode:
    """The status of a number, which gRPC and `tf.errors` share."""
    return _BY_NUMBER[number]


def invalid_argument(message: str) -> StatusError:
    """An error of the request, whatever the state of the server."""
    return StatusError(StatusCode.INVALID_ARGUMENT, message)

"""Status codes, error texts and limits that both protocols share.

Codes and texts are TF Serving's own (tensorflow_serving/servables, model_servers), so
that clients which look for them work against either server.
"""

from __future__ import annotations

import enum

MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request, gRPC and REST; larger ones are RESOURCE_EXHAUSTED or HTTP 413."""

MAX_TENSOR_ELEMENTS = 4 * 2**20
"""Largest input tensor. A few bytes can declare a shape of terabytes."""

DEFAULT_MAX_BATCH_ROWS = 1024
"""Most rows of a request by default: memory grows with rows times items."""

REST_TIMEOUT_SECONDS = 30.0
"""How long a REST connection may be silent, as in TF Serving."""

MAX_WARMUP_RECORDS = 1000
"""More are a load error, as in TF Serving."""

DEFAULT_SIGNATURE = "serving_default"


class Code(enum.IntEnum):
    """Canonical status codes, numbered as in gRPC and `tf.errors`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""HTTP status of each code; 500 for those not named."""


class StatusError(Exception):
    """A request or a load that fails with a canonical status.

    Attributes:
        code: the status.
        message: the text for the client.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    """The request is wrong, whatever the state of the server."""
    return StatusError(Code.INVALID_ARGUMENT, message)

"""The status of whatever a call raises."""

from __future__ import annotations

import logging
import traceback

from google.protobuf.message import DecodeError
from grpc import StatusCode

from serving.status import StatusError

log = logging.getLogger(__name__)


def status_of(error: Exception) -> StatusError:
    """The error for the client; an unexpected one is logged without its text.

    The text of an unexpected error might quote a history.
    """
    if isinstance(error, StatusError):
        return error
    if isinstance(error, DecodeError):
        return StatusError(
            StatusCode.INTERNAL, "the request is no message of this call"
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
    return StatusError(StatusCode.INTERNAL, f"internal: {type(error).__name__}")

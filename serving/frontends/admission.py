"""Sheds what is beyond a server's capacity at once, before a request is decoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
from grpc import aio

PREDICT = "/tensorflow.serving.PredictionService/Predict"

_BURST_SECONDS = 0.02
_LEAST_BURST = 10
"""Requests that come by chance within 20 ms where few are allowed a second."""


class RateLimit:
    """A bucket of permits that fills at a rate.

    It holds what falls due in 20 ms, and 10 permits or a second's at least.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic):
        """Starts full.

        Args:
            per_second: permits a second.
            clock: seconds that only go up.
        """
        self._rate = per_second
        least = min(per_second, _LEAST_BURST)
        self._most = max(1.0, least, per_second * _BURST_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._permits = self._most
        self._filled_at = clock()

    def take(self) -> bool:
        """Takes a permit; False if none is left."""
        with self._lock:
            now = self._clock()
            grown = self._permits + self._rate * (now - self._filled_at)
            self._permits, self._filled_at = min(self._most, grown), now
            if self._permits < 1:
                return False
            self._permits -= 1
            return True


class ShedInterceptor(aio.ServerInterceptor):
    """Answers RESOURCE_EXHAUSTED to Predict calls beyond a rate."""

    def __init__(self, limit: RateLimit) -> None:
        """Takes the rate's bucket."""
        self._limit = limit
        self._refuse = grpc.unary_unary_rpc_method_handler(_refuse)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        if details.method == PREDICT and not self._limit.take():
            return self._refuse
        return await continuation(details)


async def _refuse(request: bytes, context: Any) -> None:
    await context.abort(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "more requests a second than --max_requests_per_second: try later",
    )

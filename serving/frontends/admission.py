"""Admission of calls, and the threads that answer them: the same for both ports."""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from grpc import StatusCode

from serving.status import StatusError

_BURST_SECONDS, _LEAST_BURST = 0.02, 10
"""Requests that come by chance within 20 ms where few are allowed a second."""


class RateLimit:
    """A bucket of permits that fills at a rate.

    It holds what falls due in 20 ms, and 10 permits or a second's at least.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic):
        self._rate, self._clock = per_second, clock
        least = min(per_second, _LEAST_BURST)
        self._most = max(1.0, least, per_second * _BURST_SECONDS)
        self._lock = threading.Lock()
        self._permits, self._filled_at = self._most, clock()

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


class Tokens:
    """Compares a header with the valid tokens; without any, every request passes."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = [token.encode() for token in tokens]

    def check(self, headers: Sequence[str]) -> None:
        """Checks all Authorization headers of a call: there must be one, and valid."""
        if not self._tokens:
            return
        scheme, _, token = (headers[0] if headers else "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        # All are compared, in constant time each.
        matches = [hmac.compare_digest(given, valid) for valid in self._tokens]
        if len(headers) != 1 or scheme.lower() != "bearer" or not any(matches):
            text = "a valid token is needed, in one header: Authorization: Bearer TOKEN"
            raise StatusError(StatusCode.UNAUTHENTICATED, text)


class Admission:
    """Tokens, the bounds on calls, and the threads that answer them."""

    def __init__(
        self,
        threads: int,
        max_concurrent: int,
        max_per_second: float | None = None,
        tokens: Sequence[str] = (),
    ) -> None:
        self._threads = futures.ThreadPoolExecutor(threads, "call")
        self._max_concurrent, self._in_flight = max_concurrent, 0
        self._rate = None if max_per_second is None else RateLimit(max_per_second)
        self.authorize = Tokens(tokens).check

    def take(self) -> None:
        """Takes a Predict call's permit."""
        if self._rate is not None and not self._rate.take():
            raise _exhausted("requests a second (--max_requests_per_second)")

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function in a thread, unless the caller leaves before it begins."""
        if self._in_flight >= self._max_concurrent:
            raise _exhausted("concurrent requests (--max_concurrent_requests)")
        self._in_flight += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *args)
        finally:
            self._in_flight -= 1

    def close(self) -> None:
        """Takes no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _exhausted(what: str) -> StatusError:
    return StatusError(StatusCode.RESOURCE_EXHAUSTED, f"too many {what}: retry later")

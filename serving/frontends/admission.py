"""Which calls are taken on, and where they run: the same for both ports."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from grpc import StatusCode

from serving.frontends.security import Tokens
from serving.status import StatusError

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


class Admission:
    """Tokens, the bounds on calls, and the threads that answer them."""

    def __init__(
        self,
        threads: int,
        max_concurrent: int,
        max_per_second: float | None = None,
        tokens: Sequence[str] = (),
    ) -> None:
        """Takes the bounds.

        Args:
            threads: calls that are worked on at a time.
            max_concurrent: calls in flight.
            max_per_second: Predict calls; None for any number.
            tokens: of which a call must bring one; none for any call.
        """
        self._threads = futures.ThreadPoolExecutor(threads, "call")
        self._max_concurrent = max_concurrent
        self._rate = None if max_per_second is None else RateLimit(max_per_second)
        self._tokens = Tokens(tokens)
        self._in_flight = 0

    def authorize(self, headers: Sequence[str]) -> None:
        """Checks the Authorization headers of a call.

        Raises:
            StatusError: UNAUTHENTICATED.
        """
        self._tokens.check(headers)

    def take(self) -> None:
        """Takes a Predict call's permit.

        Raises:
            StatusError: RESOURCE_EXHAUSTED beyond the rate.
        """
        if self._rate is not None and not self._rate.take():
            raise StatusError(
                StatusCode.RESOURCE_EXHAUSTED,
                "too many requests a second (--max_requests_per_second): retry later",
            )

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function in a thread; it is not run if the caller goes before.

        Raises:
            StatusError: RESOURCE_EXHAUSTED if too many calls are in flight; what the
                function raises.
        """
        if self._in_flight >= self._max_concurrent:
            raise StatusError(
                StatusCode.RESOURCE_EXHAUSTED,
                "too many concurrent requests (--max_concurrent_requests): retry later",
            )
        self._in_flight += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *args)
        finally:
            self._in_flight -= 1

    def close(self) -> None:
        """Takes no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)

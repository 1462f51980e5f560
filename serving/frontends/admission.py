"""Admission of calls, and the threads that answer them: the same for both ports."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from grpc import StatusCode

from serving.status import StatusError


class Admission:
    """Tokens, the bound on calls, and the threads that answer them.

    Without tokens every request is authorized.
    """

    def __init__(
        self, threads: int, max_concurrent: int, tokens: Sequence[str] = ()
    ) -> None:
        self._threads = futures.ThreadPoolExecutor(threads, "call")
        self._max_concurrent, self._in_flight = max_concurrent, 0
        self._tokens = [token.encode() for token in tokens]

    def authorize(self, headers: Sequence[str]) -> None:
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

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function in a thread, unless the caller leaves before it begins."""
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

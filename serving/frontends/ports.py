"""Both ports, in one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import uvloop

from serving.frontends.grpc_port import GrpcPort
from serving.frontends.http_port import HttpPort


class Ports:
    """Both ports of a server, from `start` to `stop`."""

    def __init__(self, grpc_port: GrpcPort, http_port: HttpPort) -> None:
        """Takes the ports, which do not listen yet."""
        self._grpc, self._http = grpc_port, http_port
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ports", daemon=True)

    def start(self, host: str, grpc_port: int, http_port: int) -> tuple[int, int]:
        """Listens; the numbers of the gRPC and the REST port.

        Args:
            host: address to listen on.
            grpc_port: 0 for any free one.
            http_port: 0 for any free one.

        Raises:
            StatusError: UNAVAILABLE if a port cannot be had.
        """
        self._thread.start()
        return self._wait(self._start(host, grpc_port, http_port))

    def stop(self, grace_seconds: float) -> None:
        """Takes no new calls and waits for those in flight.

        Args:
            grace_seconds: how long they may go on.
        """
        self._wait(self._stop(grace_seconds))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self, host: str, grpc_port: int, http_port: int) -> Any:
        bound = await self._grpc.start(host, grpc_port)
        try:
            return bound, await self._http.start(host, http_port)
        except BaseException:
            await self._grpc.stop(0)
            raise

    async def _stop(self, grace_seconds: float) -> None:
        await asyncio.gather(
            self._grpc.stop(grace_seconds), self._http.stop(grace_seconds)
        )

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

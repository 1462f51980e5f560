"""Both ports, in one event loop, in a thread of its own."""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import uvloop

from serving.frontends.admission import Admission
from serving.frontends.api import ModelApi
from serving.frontends.grpc_port import GrpcPort
from serving.frontends.http_port import HttpPort


class Ports:
    """Both ports, with the flags of the command line, from `start` to `stop`."""

    def __init__(
        self, api: ModelApi, admission: Admission, args: argparse.Namespace
    ) -> None:
        self._grpc = GrpcPort(api, admission, args)
        self._http = HttpPort(api, admission, args)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ports", daemon=True)

    def start(self) -> tuple[int, int]:
        """Listens; the numbers of the gRPC and the REST port."""
        self._thread.start()
        return self._wait(self._start())

    def stop(self, grace_seconds: float) -> None:
        """Takes no new calls and waits for those in flight, so many seconds at most."""
        self._wait(self._stop(grace_seconds))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self) -> tuple[int, int]:
        number = await self._grpc.start()
        try:
            return number, await self._http.start()
        except BaseException:
            await self._grpc.stop(0)
            raise

    async def _stop(self, seconds: float) -> None:
        await asyncio.gather(self._grpc.stop(seconds), self._http.stop(seconds))

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

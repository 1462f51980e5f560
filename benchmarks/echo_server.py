"""The least that the server's libraries do for a call: answers bytes by other bytes.

`python -m benchmarks.echo_server KIND ANSWER_BYTES THREADS PORT`; several may share a
port. KIND is `threads`, gRPC's usual server, `loop`, that of its event loop, or `rest`,
aiohttp's server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import uvloop
from aiohttp import web
from grpc import aio

SERVICE, METHOD = "tensorflow.serving.PredictionService", "Predict"
_OPTIONS = [("grpc.so_reuseport", 1)]


def _handlers(behavior: Callable[[bytes, Any], Any]) -> list[grpc.GenericRpcHandler]:
    handler = grpc.unary_unary_rpc_method_handler(behavior)
    return [grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})]


def serve_by_threads(answer: bytes, threads: int, address: str) -> None:
    """Serves until it is ended, a thread a call."""
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=_OPTIONS)
    server.add_generic_rpc_handlers(_handlers(lambda request, context: answer))
    server.add_insecure_port(address)
    server.start()
    print("serving: echo", flush=True)
    server.wait_for_termination()


async def serve_by_loop(answer: bytes, address: str) -> None:
    """Serves until it is ended, in one thread."""

    async def echo(request: bytes, context: Any) -> bytes:
        return answer

    server = aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(_handlers(echo))
    server.add_insecure_port(address)
    await server.start()
    print("serving: echo", flush=True)
    await server.wait_for_termination()


async def serve_rest(answer: bytes, port: int) -> None:
    """Serves posts to any path until it is ended, in one thread."""

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(body=answer, content_type="application/json")

    runner = web.ServerRunner(web.Server(echo))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("serving: echo", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serves by the flags of the command line."""
    kind, sizes = sys.argv[1], map(int, sys.argv[2:])
    answer_bytes, threads, port = sizes
    answer, address = b"x" * answer_bytes, f"127.0.0.1:{port}"
    if kind == "loop":
        uvloop.run(serve_by_loop(answer, address))
    elif kind == "rest":
        uvloop.run(serve_rest(answer, port))
    else:
        serve_by_threads(answer, threads, address)


if __name__ == "__main__":
    main()

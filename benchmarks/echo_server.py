"""The least that this gRPC library does for a call: answers bytes by other bytes.

`python -m benchmarks.echo_server ANSWER_BYTES THREADS PORT`; several may share a port.
"""

from __future__ import annotations

import sys
from concurrent import futures
from typing import Any

import grpc

SERVICE, METHOD = "tensorflow.serving.PredictionService", "Predict"


def main() -> None:
    """Serves until it is ended."""
    answer_bytes, threads, port = map(int, sys.argv[1:])
    answer = b"x" * answer_bytes

    def echo(request: bytes, context: Any) -> bytes:
        return answer

    handler = grpc.unary_unary_rpc_method_handler(echo)
    server = grpc.server(
        futures.ThreadPoolExecutor(threads), options=[("grpc.so_reuseport", 1)]
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})]
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("serving: echo", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()

"""Memory of gRPC messages that a server has not let in, by frames of HTTP/2."""

import contextlib
import resource
import socket
from pathlib import Path

import h2.connection
import h2.events

from tests.serving import inside

CROWD, SIZE = 20, 8 * 2**20
HEADERS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/tensorflow.serving.PredictionService/Predict",
    ":authority": "a.test",
    "content-type": "application/grpc",
    "te": "trailers",
}
MESSAGE = b"\0" + SIZE.to_bytes(4, "big") + bytes(SIZE - 1)
"""A message that lacks its last byte, so that nobody can answer it."""


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def refusal(connection):
    """Sends what the server lets come; its status if it answers before the end."""
    state, left = h2.connection.H2Connection(), memoryview(MESSAGE)
    state.initiate_connection()
    state.send_headers(1, list(HEADERS.items()))
    while left:
        allowed = state.local_flow_control_window(1)
        part = left[: min(allowed, state.max_outbound_frame_size)]
        if part:
            state.send_data(1, bytes(part))
            left = left[len(part) :]
        connection.sendall(state.data_to_send())
        for event in [] if part else state.receive_data(connection.recv(2**16)):
            if isinstance(event, h2.events.ResponseReceived):
                return int(dict(event.headers)[b"grpc-status"])
    return None


def test_messages_without_a_token_are_not_held(served_export, tmp_path):
    """The server is in this process."""
    (tmp_path / "tokens").write_text("a-token-of-some-length")
    base = ("--model_name", "demo", "--model_base_path", served_export.export_dir)
    with inside.server(*base, "--token_file", tmp_path / "tokens") as server:
        host, port = server.grpc_address.rsplit(":", 1)
        with contextlib.ExitStack() as stack:
            crowd = [
                stack.enter_context(socket.create_connection((host, int(port)), 20))
                for _ in range(CROWD)
            ]
            refusal(crowd.pop())
            before = resident_bytes()
            assert {refusal(connection) for connection in crowd} == {16}
            held = resident_bytes() - before
    assert held < CROWD * SIZE / 4, held

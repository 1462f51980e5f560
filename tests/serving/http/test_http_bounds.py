"""Bounds on a REST client's bytes, time and connections, by raw sockets."""

import contextlib
import gzip
import json
import resource
import time
from pathlib import Path

import pytest

from serving import limits
from tests.serving import inside
from tests.serving.http.raw_http import (
    BODY,
    HOST,
    LENGTH,
    MODEL,
    PREDICT,
    TOKEN,
    ask,
    connected,
    exchange,
    statuses,
)


@pytest.mark.parametrize("part", ["-A  ", "A  HTTP/1.1\r\n", "GET / HTTP/1.1\r\n  "])
def test_no_body_holds_the_event_loop_up(server, part):
    body = (part * (10**6 // len(part))).encode()
    head = f"{PREDICT}{HOST}Content-Length: {len(body)}\r\n\r\n".encode()
    start = time.process_time()
    text, _ = exchange(server, head + body, 3)
    assert statuses(text)[:1] == [400]
    # The server runs in this process.
    assert time.process_time() - start < 2


def test_bodies_without_a_token_are_not_held(guarded):
    """The rest of a refused request is discarded; the server is in this process."""
    part, crowd = b" " * 2**20, 20
    head = f"{PREDICT}{HOST}Content-Length: {8 * len(part)}\r\n\r\n".encode()
    before = resident_bytes()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(guarded)) for _ in range(crowd)]
        for connection in connections:
            connection.sendall(head)
            assert statuses(connection.recv(1000).decode()) == [401]
        for _ in range(8):
            for connection in connections:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(part)
        held = resident_bytes() - before
    assert held < crowd * 2**20, held


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


PACKED = {
    "a bomb": (gzip.compress(b" " * 2**26), 413),
    "no gzip": (b"no gzip", 400),
    "cut short": (gzip.compress(BODY.encode())[:-9], 400),
    "two of them": (gzip.compress(BODY.encode()) * 2, 400),
}


@pytest.mark.parametrize("case", PACKED)
def test_packed_bodies_have_a_bound(server, case):
    body, expected = PACKED[case]
    response, answer = ask(
        server, "POST", f"{MODEL}:predict", body, Content_Encoding="gzip"
    )
    assert response.status == expected
    assert list(json.loads(answer)) == ["error"]


def test_chunked_bodies_have_a_bound(server):
    chunks = (b" " * 2**20 for _ in range(40))
    with contextlib.suppress(ConnectionError):
        response, _ = ask(server, "POST", f"{MODEL}:predict", chunks)
        assert response.status == 413


@pytest.mark.parametrize("is_body", [False, True])
def test_a_request_of_a_byte_at_a_time_ends_with_its_time(guarded, is_body):
    head = f"{PREDICT}{HOST}Authorization: Bearer {TOKEN}\r\n{LENGTH}"
    text = f"{head}\r\n{BODY}" if is_body else head
    start = time.monotonic()
    received = b""
    with connected(guarded) as connection:
        if is_body:
            connection.sendall(text[: -len(BODY)].encode())
            text = BODY
        connection.settimeout(0.2)
        for byte in text * 5:
            try:
                connection.sendall(byte.encode())
                received = connection.recv(1000)
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert time.monotonic() - start < 4
    assert statuses(received.decode()) == ([504] if is_body else [])


def test_client_that_takes_no_answer_is_let_go(guarded):
    line = f"GET {MODEL}/metadata HTTP/1.1\r\n{HOST}"
    request = f"{line}Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    with connected(guarded) as connection:
        connection.settimeout(100)
        with pytest.raises(ConnectionError):
            connection.sendall(request * 100_000)


def test_bodies_that_are_held_have_a_bound_together(base, monkeypatch):
    monkeypatch.setattr(limits, "MAX_BODIES_BYTES", 2**20)
    flags = ("--model_base_path", base, "--model_name", "demo")
    with inside.server(*flags) as answering:
        head = f"{PREDICT}{HOST}Content-Length: 1000000\r\n\r\n".encode()
        with connected(answering) as first:
            first.sendall(head + b" " * 900_000)
            time.sleep(0.5)
            with connected(answering) as second:
                second.sendall(head + b" " * 900_000)
                assert second.recv(1000).startswith(b"HTTP/1.1 429")
        response, _ = ask(answering, "POST", f"{MODEL}:predict", BODY)
        assert response.status == 200


def test_connections_have_a_bound(base, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 4)
    flags = ("--model_base_path", base, "--model_name", "demo")
    with inside.server(*flags) as answering, contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(answering)) for _ in range(4)]
        time.sleep(0.3)
        with connected(answering) as extra:
            assert extra.recv(10) == b""
        crowd.pop().close()
        time.sleep(0.3)
        assert ask(answering, "GET", MODEL)[0].status == 200

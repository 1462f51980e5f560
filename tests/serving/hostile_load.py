"""Bad clients of all kinds at once, by chance, beside a good one."""

import contextlib
import itertools
import json
import random
import socket
import statistics
import struct
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc

from tests.serving.export_requests import HISTORY, predict_request, strings
from tests.serving.http import raw_http, test_http
from tests.serving.test_hostile_requests import (
    BAD_TENSORS,
    HOSTILE_BODIES,
    with_history,
)
from tests.serving.test_hostile_table import BODIES, PREDICT, TABLE

CLIENTS = 4
IDLE = 200
"""Connections that are left open, half a request sent."""
BAD_STATUS = {
    **{f"table {name}": case for name, case in TABLE.items()},
    **{
        name: (with_history(proto).SerializeToString(), "INVALID_ARGUMENT")
        for name, proto in BAD_TENSORS.items()
    },
}
BAD_BODIES = {
    **{f"table {name}": case for name, case in BODIES.items()},
    **{name: (body, 400) for name, body in HOSTILE_BODIES.items()},
}


class HostileLoad:
    """Asks a server until `stop`, and notes what differs from what is expected."""

    def __init__(self, server, expected, seed):
        self._server, self._expected, self._seed = server, expected, seed
        self._idle, self._lock = [], threading.Lock()
        options = [("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(server.grpc_address, options=options)
        self._stop = threading.Event()
        self.sent, self.good_seconds, self.faults = 0, [], []

    def run(self, seconds, pause=1.0):
        """Asks so long; returns resident MiB of the server at each pause."""
        memory, end = [], time.monotonic() + seconds
        with futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
            draws = [random.Random(f"{self._seed} {n}") for n in range(CLIENTS)]
            running = [pool.submit(self._hostile, draw) for draw in draws]
            running.append(pool.submit(self._good))
            while time.monotonic() < end and not self.faults:
                self._stop.wait(pause)
                memory.append(resident_mib(self._server.process.pid))
            self._stop.set()
        for done in running:
            done.result()
        for connection in self._idle:
            connection.close()
        self._channel.close()
        return memory

    def _good(self):
        request = predict_request(history=[HISTORY])
        while not self._stop.wait(0.05):
            start = time.monotonic()
            response = self._server.prediction.Predict(request, timeout=60)
            self.good_seconds.append(time.monotonic() - start)
            self._compare("good", strings(response.outputs["item_ids"]), self._expected)

    def _hostile(self, draw):
        kinds = [
            *[self._message] * 6,
            *[self._body] * 6,
            *[self._ambiguous] * 6,
            *(self._cancelled, self._late, self._noise, self._torn, self._half),
        ]
        while not self._stop.is_set():
            draw.choice(kinds)(draw)
            with self._lock:
                self.sent += 1

    def _compare(self, name, received, expected):
        if received != expected:
            self.faults.append((name, received, expected))

    def _message(self, draw):
        name, (message, expected) = draw.choice([*BAD_STATUS.items()])
        code = "OK"
        try:
            self._channel.unary_unary(PREDICT)(message, timeout=60)
        except grpc.RpcError as error:
            code = error.code().name
        self._compare(name, code, expected)

    def _body(self, draw):
        name, (body, expected) = draw.choice([*BAD_BODIES.items()])
        body = body if isinstance(body, bytes) else json.dumps(body)
        path = f"{raw_http.MODEL}:predict"
        self._compare(name, self._server.http("POST", path, body)[0], expected)

    def _ambiguous(self, draw):
        name, text = draw.choice([*test_http.AMBIGUOUS.items()])
        received, _ = raw_http.exchange(self._server, text, 30)
        self._compare(name, raw_http.statuses(received), [400])

    def _cancelled(self, draw):
        request = predict_request(history=[HISTORY] * 100)
        call = self._server.prediction.Predict.future(request, timeout=60)
        time.sleep(draw.random() / 50)
        call.cancel()

    def _late(self, draw):
        request = predict_request(history=[HISTORY])
        with contextlib.suppress(grpc.RpcError):
            self._server.prediction.Predict(request, timeout=draw.random() / 100)

    def _noise(self, draw):
        port = draw.choice([self._server.grpc_address, self._server.rest_address])
        with connected(port) as connection, contextlib.suppress(OSError):
            connection.sendall(draw.randbytes(draw.randrange(1, 5000)))
            connection.recv(1000)

    def _torn(self, draw):
        """A body that breaks off by a reset."""
        with connected(self._server.rest_address) as connection:
            length = draw.randrange(2, 2**22)
            head = f"{raw_http.PREDICT}{raw_http.HOST}Content-Length: {length}\r\n\r\n"
            connection.sendall(head.encode() + b" " * draw.randrange(1, length))
            at_once = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    def _half(self, draw):
        """A request that is left open."""
        connection = connected(self._server.rest_address)
        connection.sendall(raw_http.PREDICT.encode())
        with self._lock:
            self._idle.append(connection)
            old = self._idle[:-IDLE]
            del self._idle[:-IDLE]
        for connection in old:
            connection.close()


def connected(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=2)


def resident_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def percentile_ms(seconds, share):
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def report(load, memory):
    """Figures of a run, by name."""
    bounds = [number * len(memory) // 10 for number in range(11)]
    return {
        "hostile": load.sent,
        "good": len(load.good_seconds),
        "good_p50_ms": percentile_ms(load.good_seconds, 0.5),
        "good_p99_ms": percentile_ms(load.good_seconds, 0.99),
        "memory_mib_by_tenths": [
            round(statistics.median(memory[start:end]))
            for start, end in itertools.pairwise(bounds)
        ],
    }

"""Servers as child processes, and plain calls to them."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests import forked

READY = re.compile(r"^serving: grpc=(\S+) rest=(\S+) model=(\S+) version=([\d,]+)$")
START_SECONDS = 120


class Server:
    """A server that answers; `process` is the child."""

    def __init__(self, process, grpc_address: str, rest_address: str) -> None:
        self.process = process
        self.grpc_address = grpc_address
        self.rest_address = rest_address
        self.channel = grpc.insecure_channel(
            grpc_address, options=[("grpc.max_send_message_length", -1)]
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self.channel
        )
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def http(self, method, path, body=None, headers=None):
        """Status and decoded JSON of a REST call."""
        host, port = self.rest_address.rsplit(":", 1)
        with contextlib.closing(
            http.client.HTTPConnection(host, int(port), timeout=30)
        ) as connection:
            if isinstance(body, dict):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def status(self, name):
        """State number by version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        answer = self.models.GetModelStatus(request, timeout=30)
        return {entry.version: entry for entry in answer.model_version_status}

    def close(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


def command(*flags: object) -> list[str]:
    return [sys.executable, "-m", "serving.server", *map(str, flags)]


def start_embedded(name: str, base_path: Path, log: Path, *flags: object) -> Server:
    """Starts `serving.server` for one model on free ports."""
    return start_own(log, "--model_name", name, "--model_base_path", base_path, *flags)


def start_own(log: Path, *flags: object) -> Server:
    """Starts `serving.server` on free ports and waits for its line."""
    flags = ("--port", 0, "--rest_api_port", 0, *flags)
    process = forked.Command("serving.server", *flags, stderr=log.open("w"))
    line = process.stdout.readline()
    match = READY.match(line.rstrip("\n"))
    if not match:
        process.kill()
        raise AssertionError(f"no ready line but {line!r}; log:\n{log.read_text()}")
    return Server(process, match[1], match[2])


def start_binary(log: Path, ready: str, *flags: object) -> Server:
    """Starts the `tensorflow_model_server` that TF_SERVING_BIN names.

    Args:
        log: gets what it prints.
        ready: the model to wait for.
        flags: of the server.
    """
    binary = os.environ.get("TF_SERVING_BIN", "")
    if not binary or not os.access(binary, os.X_OK):
        raise AssertionError(
            "TF_SERVING_BIN must name an executable tensorflow_model_server. "
            f"Received: {binary!r}"
        )
    ports = {"port": free_port(), "rest_api_port": free_port()}
    process = subprocess.Popen(
        [
            binary,
            *(f"--{name}={port}" for name, port in ports.items()),
            *map(str, flags),
        ],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    server = Server(process, *(f"127.0.0.1:{port}" for port in ports.values()))
    wait_for(lambda: is_available(server, ready), START_SECONDS, log)
    return server


def is_available(server: Server, name: str) -> bool:
    assert server.process.poll() is None, "the server has ended"
    try:
        return any(entry.state == 30 for entry in server.status(name).values())
    except grpc.RpcError:
        return False


def wait_for(condition, seconds: float, log: Path | None = None) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            text = log.read_text()[-3000:] if log else ""
            raise AssertionError(f"waited {seconds} s in vain\n{text}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Worker processes that are copies of this one, with all that it has imported.

A worker that starts as a new program imports Beam and TensorFlow Data Validation again:
three seconds and 300 MB each. A copy shares both with this process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import Environment
from google.protobuf import json_format, text_format

URN = "s4rec:env:forked_worker:v1"

_UNSAFE_THREADS = ("grpc", "event_engine", "tf_")
"""Prefixes of the names of these libraries' threads."""

_ABORT_EVERY_SECONDS = 0.2

_waiting: list[Fork] = []
"""Copies that are not at work yet."""


class Fork(NamedTuple):
    """A copy of this process that waits for its environment variables.

    Attributes:
        pid: its process.
        pipe: where they are written, as JSON.
    """

    pid: int
    pipe: int

    def begin(self, variables: Mapping[str, str]) -> None:
        """Lets the copy begin to work; one that has ended is no error here."""
        with (
            contextlib.suppress(BrokenPipeError),
            os.fdopen(self.pipe, "w") as stream,
        ):
            json.dump(variables, stream)


def can_fork() -> bool:
    """Whether a copy of this process can work: gRPC and TensorFlow have not run yet.

    Their threads, and Python's own, are missing in a copy, whatever they hold.
    """
    threads = Path("/proc/self/task").glob("*/comm")
    names = [thread.read_text() for thread in threads]
    return (
        threading.active_count() == 1
        and bool(names)
        and not any(name.startswith(_UNSAFE_THREADS) for name in names)
    )


def fork_workers(number: int) -> None:
    """Makes copies of this process; see `can_fork`."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # a search for cycles would write to shared pages
    for _ in range(number):
        _waiting.append(_fork(_waiting))


def end_waiting() -> None:
    """Ends the copies that never began."""
    while _waiting:
        os.close(_waiting[-1].pipe)
        os.waitpid(_waiting.pop().pid, 0)


def _fork(others: Sequence[Fork]) -> Fork:
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read)
        return Fork(pid, write)
    for pipe in (write, *(other.pipe for other in others)):
        os.close(pipe)
    try:
        _work(read)
    finally:
        os._exit(1)


def _work(pipe: int) -> NoReturn:
    """Works until the runner ends the connection; nothing if it never begins."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the job
    with os.fdopen(pipe) as stream:
        variables = stream.read()
    if variables:
        from apache_beam.runners.worker import sdk_worker_main

        os.environ.update(json.loads(variables))
        sdk_worker_main.main([])
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    # Python would take a second to take its modules apart, one worker after another.
    os._exit(0)


class ForkedEnvironment(Environment):
    """Tells Beam's in-process runner to use a `ForkedWorkerHandler`."""

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        """The handler's name, and nothing else."""
        return URN, b""


@WorkerHandler.register_environment(URN, bytes)
class ForkedWorkerHandler(GrpcWorkerHandler):
    """Puts a waiting copy to work, and fails the pipeline if it ends early."""

    def __init__(self, payload: bytes, state, provision_info, grpc_server) -> None:  # type: ignore[no-untyped-def]
        super().__init__(state, provision_info, grpc_server)

    def start_worker(self) -> None:
        """Gives a copy the addresses of the runner."""
        self._fork = _waiting.pop()
        self._fork.begin(
            {
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(
                    endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
                ),
                "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(
                    self.logging_api_service_descriptor()
                ),
                "PIPELINE_OPTIONS": json_format.MessageToJson(
                    self.provision_info.provision_info.pipeline_options
                ),
                "WORKER_ID": self.worker_id,
            }
        )
        self._is_closing = threading.Event()
        self._watch = threading.Thread(target=self._wait, daemon=True)
        self._watch.start()

    def _wait(self) -> None:
        _, status = os.waitpid(self._fork.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        error = RuntimeError(f"A worker process ended early, with status {code}")
        # Again and again: requests may follow, which nobody would answer.
        while status and not self._is_closing.wait(_ABORT_EVERY_SECONDS):
            self.control_conn.abort(error)

    def stop_worker(self) -> None:
        """Waits until the copy has ended."""
        self._is_closing.set()
        self._watch.join()

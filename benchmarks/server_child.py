"""`serving.server` as a child process that a benchmark asks."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_READY = re.compile(r"^serving: grpc=(\S+) rest=(\S+) ")
_WAIT_SECONDS = 600.0


class ServerFailed(RuntimeError):
    """A server that did not start, or did not get to a version."""


class ServerChild:
    """A running server.

    Attributes:
        pid: of its process.
        grpc_target: HOST:PORT.
        rest_target: HOST:PORT.
    """

    def __init__(self, pid: int, ready: re.Match[str], log: Path) -> None:
        """Takes the process's number, its line, and its log."""
        self.pid = pid
        self.grpc_target, self.rest_target = ready[1], ready[2]
        self._log = log

    def wait_for_version(self, number: int) -> None:
        """Waits until the log reports an available version.

        Raises:
            ServerFailed: if it takes too long.
        """
        wanted = f"version {number} of "
        end = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < end:
            for line in self._log.read_text("utf-8").splitlines():
                if wanted in line and line.endswith("is available"):
                    return
            time.sleep(0.05)
        raise ServerFailed(f"version {number} did not answer, see {self._log}")


@contextlib.contextmanager
def started(
    model_name: str, base: Path, log: Path, *flags: str
) -> Iterator[ServerChild]:
    """A server of one model on free ports, while the block lasts.

    Args:
        model_name: the name that requests use.
        base: BASE/NAME.
        log: file of its output.
        flags: further flags of `serving.server`.

    Raises:
        ServerFailed: if it does not start.
    """
    command = [
        *(sys.executable, "-m", "serving.server", "--model_name", model_name),
        *("--model_base_path", str(base), "--port", "0", "--rest_api_port", "0"),
        *flags,
    ]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        ready = _READY.match(process.stdout.readline())
        if ready is None:
            raise ServerFailed(f"the server did not start:\n{log.read_text('utf-8')}")
        yield ServerChild(process.pid, ready, log)
    finally:
        process.terminate()
        process.wait()

"""Several server processes on one port, among which the kernel divides connections.

Python answers one gRPC call at a time in a process, whatever its threads; processes are
what a second core is used by. Each loads the model, watches for versions and keeps its
metrics by itself: for the moment of a swap two versions may answer.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from serving.contract import Code, StatusError

_STOP_SECONDS = 30.0
_READY = "serving: "

log = logging.getLogger(__name__)


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Holds a port that others may listen on too, and gives its number.

    A socket that is bound but does not listen gets no connection.

    Args:
        host: address.
        port: 0 for any free one.

    Raises:
        StatusError: UNAVAILABLE if another program has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((host.strip("[]"), port))
        except OSError as error:
            raise StatusError(
                Code.UNAVAILABLE, f"cannot listen on {host}:{port}: {error}"
            ) from error
        yield held.getsockname()[1]


class Workers:
    """Server processes that were started together and end together."""

    def __init__(self, flags: Sequence[str], count: int) -> None:
        """Starts them.

        Args:
            flags: of `python -m serving.server`, for each.
            count: of processes.
        """
        command = [sys.executable, "-m", "serving.server", *flags]
        # A worker ends when its standard input does: none outlives this process.
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]

    def wait_ready(self) -> str:
        """Waits until all serve; the line that says so.

        Raises:
            StatusError: UNAVAILABLE if one ends instead.
        """
        lines = []
        for process in self._processes:
            assert process.stdout
            lines.append(process.stdout.readline())
            if not lines[-1].startswith(_READY):
                raise StatusError(
                    Code.UNAVAILABLE,
                    f"a worker ended with status {process.wait()} before it served",
                )
        return lines[-1].rstrip("\n")

    def wait(self, stop: threading.Event) -> None:
        """Returns when told to stop.

        Raises:
            StatusError: UNAVAILABLE if a worker ends before: whoever started the server
                starts it anew, whole.
        """
        while not stop.wait(0.2):
            for process in self._processes:
                if process.poll() is not None:
                    raise StatusError(
                        Code.UNAVAILABLE,
                        f"a worker ended with status {process.returncode}",
                    )

    def close(self) -> None:
        """Lets requests in work end, and the workers."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                log.error("a worker does not end: it is killed")
                process.kill()
                process.wait()


def serve(
    flags: Sequence[str],
    count: int,
    host: str,
    ports: tuple[int, int],
    stop: threading.Event,
) -> None:
    """Serves by several processes until told to stop.

    Args:
        flags: the command line without `--processes`.
        count: of processes.
        host: address to listen on.
        ports: of gRPC and REST; 0 for any free one.
        stop: when set, workers drain and end.

    Raises:
        StatusError: UNAVAILABLE if a port cannot be had or a worker ends.
    """
    with reserved_port(host, ports[0]) as grpc_port:
        with reserved_port(host, ports[1]) as rest_port:
            shared = ["--share_ports", f"--port={grpc_port}"]
            workers = Workers([*flags, *shared, f"--rest_api_port={rest_port}"], count)
            try:
                print(workers.wait_ready(), flush=True)
                workers.wait(stop)
            finally:
                workers.close()


def stop_with_input(stop: threading.Event) -> None:
    """Sets `stop` when standard input ends: whoever started this process is gone."""

    def watch() -> None:
        while sys.stdin.read(1024):
            pass
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()

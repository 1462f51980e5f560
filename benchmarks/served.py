"""The servers that are compared, each as a process that a block runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import triton
from benchmarks.free_ports import free_port
from benchmarks.process_memory import family_bytes, family_cpu_seconds
from benchmarks.requests import NAME, OUTPUTS, SIGNATURE

_READY = "serving: "


class ServerError(RuntimeError):
    """A server that ended before it served."""


class Served(NamedTuple):
    """A running server.

    Attributes:
        target: HOST:PORT.
        pids: its processes.
        rest_target: HOST:PORT of REST, where there is one besides.
    """

    target: str
    pids: tuple[int, ...]
    rest_target: str = ""

    def memory_mib(self) -> int:
        """Memory of the processes and their descendants."""
        return round(sum(map(family_bytes, self.pids)) / 2**20)

    def cpu_seconds(self) -> float:
        """Processor time that they have taken so far."""
        return sum(map(family_cpu_seconds, self.pids))


@contextlib.contextmanager
def embedded(
    export_dir: Path, flags: Sequence[str], log: Path, count: int = 1
) -> Iterator[Served]:
    """The project's own server, by so many processes on one gRPC port."""
    port, rest_ports = free_port(), [free_port() for _ in range(count)]
    command = [sys.executable, "-m", "serving.server", f"--model_name={NAME}"]
    command += [f"--model_base_path={export_dir}", f"--port={port}", *flags]
    if count > 1:
        command.append("--grpc_channel_arguments=grpc.so_reuseport=1")
    commands = [[*command, f"--rest_api_port={number}"] for number in rest_ports]
    with _processes(commands, log) as pids:
        yield Served(f"127.0.0.1:{port}", pids, f"127.0.0.1:{rest_ports[0]}")


@contextlib.contextmanager
def echo(
    kind: str, answer_bytes: int, threads: int, count: int, log: Path
) -> Iterator[Served]:
    """An echo service by so many processes on one port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.echo_server", kind]
    command += [str(answer_bytes), str(threads), str(port)]
    with _processes([command] * count, log) as pids:
        yield Served(f"127.0.0.1:{port}", pids)


@contextlib.contextmanager
def on_triton(export_dir: Path, folder: Path) -> Iterator[Served]:
    """NVIDIA Triton over the same export."""
    models = folder / "repository"
    triton.write_repository(models, NAME, export_dir / "1", SIGNATURE, OUTPUTS)
    with triton.running(models, folder / "triton.log") as (target, pid):
        yield Served(target, (pid,))


@contextlib.contextmanager
def _processes(commands: list[list[str]], log: Path) -> Iterator[tuple[int, ...]]:
    with log.open("wb") as errors:
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            for command in commands
        ]
        try:
            for process in started:
                assert process.stdout
                if not process.stdout.readline().startswith(_READY):
                    text = log.read_text("utf-8", "replace")[-2000:]
                    raise ServerError(f"{process.args!r} does not serve:\n{text}")
            time.sleep(0.5)
            yield tuple(process.pid for process in started)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(60)

"""Child processes that end with the block, or with the process, that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from s4rec_tf.exit_codes import of_signal

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::UserWarning",
}
"""Suppresses the lines that TensorFlow prints at every start, unless set otherwise."""

_PYTHON = sys.executable
# Run by the child before it becomes the command: code run between fork and exec in a
# process with threads, as `preexec_fn` is, can meet a lock that nobody will release.
_BIND_TO_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def exit_on_signals() -> None:
    """Lets SIGTERM and SIGHUP unwind the blocks that own child processes."""
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGHUP, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(of_signal(number))


@contextlib.contextmanager
def logged_child(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """As `bound_child`, both outputs as text in a file of its own.

    Args:
        command: words of the command line.
        log: file that receives its outputs.

    Yields:
        The running process.
    """
    env = {**QUIET, **os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(
            _bound_to_this_process(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=env,
        )
        try:
            yield process
        finally:
            stop(process)


@contextlib.contextmanager
def bound_child(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that outlives neither the block nor, on Linux, this process.

    Args:
        command: words of the command line.
        env: its environment; None for this process'.
        log: file that receives both of its outputs; None leaves them as they are.

    Yields:
        The running process.
    """
    process = subprocess.Popen(
        _bound_to_this_process(command),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        env=env,
    )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """Ends a process that still runs: asks first, kills after ten seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _bound_to_this_process(command: Sequence[str]) -> list[str]:
    """Has Linux kill the command when this process dies, be it by kill -9."""
    if sys.platform != "linux":
        return list(command)
    shim = [_PYTHON, "-I", "-S", "-c", _BIND_TO_PARENT, str(os.getpid())]
    return [*shim, *command]

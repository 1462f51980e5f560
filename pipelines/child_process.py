"""A child process that dies with its parent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from pipelines.stages import stop

_PYTHON = sys.executable
# Said by the child before it becomes the command: code run between fork and exec in a
# process with threads, as `preexec_fn` is, can meet a lock that nobody will release.
_BIND_TO_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


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


def _bound_to_this_process(command: Sequence[str]) -> list[str]:
    """Has Linux kill the command when this process dies, be it by kill -9."""
    if sys.platform != "linux":
        return list(command)
    shim = [_PYTHON, "-I", "-S", "-c", _BIND_TO_PARENT, str(os.getpid())]
    return [*shim, *command]

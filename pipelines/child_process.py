"""A child process that dies with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from pipelines.stages import stop

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


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
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        env=env,
        preexec_fn=_end_with_parent,
    )
    try:
        yield process
    finally:
        stop(process)


def _end_with_parent() -> None:
    """Has Linux kill this child when its parent dies, be it by kill -9."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

"""Settings of memory for a process of a large job.

Beam's in-process runner and its workers get and free buffers of many MiB from several
threads. By its defaults glibc keeps most of what is freed. Python's search for cycles
finds hardly any in a job of bytes and tuples, and takes 7 % of its time.
"""

from __future__ import annotations

import ctypes
import gc
import os
from typing import NamedTuple

_SHORT_JOB_SECONDS = 30.0
"""Up to here a job is small enough to keep what it frees, which saves a tenth of it."""

_KEPT_BYTES, _KEPT_BYTES_OF_SHORT_JOB = 4 << 20, 32 << 20
_ONE_ARENA = 1


class Setting(NamedTuple):
    """A setting of glibc's malloc: see `man mallopt`."""

    number: int
    variable: str
    value: int


def settings_for(seconds: float) -> tuple[Setting, ...]:
    """Settings of malloc for a job.

    Args:
        seconds: roughly, how long one core will be busy with it.
    """
    is_short = seconds <= _SHORT_JOB_SECONDS
    kept = _KEPT_BYTES_OF_SHORT_JOB if is_short else _KEPT_BYTES
    return (
        Setting(-8, "MALLOC_ARENA_MAX", _ONE_ARENA),
        Setting(-3, "MALLOC_MMAP_THRESHOLD_", kept),
        Setting(-1, "MALLOC_TRIM_THRESHOLD_", kept),
    )


def give_freed_memory_back(seconds: float) -> None:
    """Sets malloc here and in processes started later, where the C library is glibc.

    What the environment sets already stays.

    Args:
        seconds: roughly, how long one core will be busy with the job.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for number, variable, value in settings_for(seconds):
        if variable not in os.environ:
            os.environ[variable] = str(value)
            if mallopt is not None:
                mallopt(number, value)


def search_cycles_rarely() -> None:
    """Makes Python look for cycles of garbage a hundred times less often."""
    gc.set_threshold(70_000, 20, 20)

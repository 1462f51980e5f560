"""How a process of a large job keeps memory.

Beam's in-process runner and its workers get and free buffers of many MiB from several
threads. By its defaults glibc keeps most of what is freed. Python's search for cycles
finds hardly any in a job of bytes and tuples, and takes 7 % of its time.
"""

from __future__ import annotations

import ctypes
import gc
import os
from typing import NamedTuple


class Setting(NamedTuple):
    """A setting of glibc's malloc: see `man mallopt`."""

    number: int
    variable: str
    value: int


_SETTINGS = (
    Setting(-8, "MALLOC_ARENA_MAX", 1),
    Setting(-3, "MALLOC_MMAP_THRESHOLD_", 4 << 20),
    Setting(-1, "MALLOC_TRIM_THRESHOLD_", 4 << 20),
)


def give_freed_memory_back() -> None:
    """Sets malloc here and in processes started later, where the C library is glibc.

    What the environment sets already stays.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for number, variable, value in _SETTINGS:
        if variable not in os.environ:
            os.environ[variable] = str(value)
            if mallopt is not None:
                mallopt(number, value)


def search_cycles_rarely() -> None:
    """Makes Python look for cycles of garbage a hundred times less often."""
    gc.set_threshold(70_000, 20, 20)

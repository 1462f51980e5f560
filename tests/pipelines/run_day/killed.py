"""The remains of killed processes."""

import contextlib
import os
import time
from pathlib import Path


def processes_of(folder):
    """Command lines of running processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_text()
                found += [line] if str(folder) in line else []
    return found


def wait_until(ready, seconds=60):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.1)

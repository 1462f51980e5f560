"""A command's time, and the memory and processor time of all its processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_SAMPLE_SECONDS = 0.5
_NEAR_THE_PEAK = 0.97
_EXACT_EVERY_SECONDS = 2.0
"""The exact sum reads every page's entry, and holds the process up meanwhile."""


class Finished(NamedTuple):
    """Summary of a command.

    Attributes:
        seconds: from its start to its end.
        peak_gib: most resident memory of the process and its descendants together, a
            page that several share counted once; sampled.
        errors: what it printed on standard error.
    """

    seconds: float
    peak_gib: float
    errors: str


class CommandFailed(RuntimeError):
    """A command that ended with another status than 0."""


def run_watched(command: Sequence[str]) -> Finished:
    """Runs a command to its end.

    Raises:
        CommandFailed: with the end of what it printed.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(command), stdout=subprocess.DEVNULL, stderr=errors
        )
        peak = _peak_until_it_ends(process)
        seconds = time.perf_counter() - start
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
    if process.returncode:
        raise CommandFailed(
            f"{' '.join(command)} ended with status {process.returncode}:\n"
            f"{text[-2000:]}"
        )
    return Finished(seconds, peak / 2**30, text)


def _peak_until_it_ends(process: subprocess.Popen[bytes]) -> int:
    """The most of `family_bytes`, read while resident memory is near its top."""
    peak = most_resident = 0
    next_exact = 0.0
    while process.poll() is None:
        resident = sum(map(resident_bytes, _family(process.pid)))
        is_near = resident > _NEAR_THE_PEAK * most_resident
        is_new = resident > most_resident / _NEAR_THE_PEAK
        if is_new or (is_near and time.monotonic() > next_exact):
            peak = max(peak, family_bytes(process.pid))
            most_resident = max(most_resident, resident)
            next_exact = time.monotonic() + _EXACT_EVERY_SECONDS
        time.sleep(_SAMPLE_SECONDS)
    return peak


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process; 0 if it has gone."""
    return _bytes_of(Path(f"/proc/{pid}/status"), "VmRSS:")


def peak_bytes(pid: int | str = "self") -> int:
    """The most that a process has had resident; 0 if it has gone."""
    return _bytes_of(Path(f"/proc/{pid}/status"), "VmHWM:")


def family_bytes(pid: int) -> int:
    """Memory of a process and all its descendants, shared pages counted once."""
    return sum(
        _bytes_of(Path(f"/proc/{member}/smaps_rollup"), "Pss:")
        for member in _family(pid)
    )


def family_cpu_seconds(pid: int) -> float:
    """Processor time that a process and its living descendants have taken."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(map(_cpu_ticks, _family(pid))) / ticks


def _cpu_ticks(pid: int) -> int:
    # The name before the last parenthesis may hold blanks.
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(children).split():
            yield from _family(int(child))


def _bytes_of(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

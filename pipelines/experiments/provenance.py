"""The version of the code, and the machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import s4rec_tf

ROOT = Path(__file__).parents[2]
_CODE = "s4rec_tf"
"""Folders that a run depends on; changes elsewhere make no other version."""


def code_version(root: Path = ROOT) -> str:
    """The commit, with `-dirty` if the models' code differs from it.

    Outside a repository, the version of the package.
    """
    if not (root / ".git").exists():
        return s4rec_tf.__version__
    commit = _output(["git", "-C", str(root), "describe", "--always", "--tags"])
    if not commit:
        return s4rec_tf.__version__
    status = ["git", "-C", str(root), "status", "--porcelain", "--", _CODE]
    return f"{commit}-dirty" if _output(status) else commit


def machine(backend: str) -> str:
    """Processor, cores and memory, and the GPU that JAX would take."""
    cores = len(os.sched_getaffinity(0))
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{cores} cores", f"{gibibytes:.0f} GiB", backend]
    if backend == "jax" and (gpu := _gpu()):
        parts.insert(0, gpu)
    return ", ".join(parts)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    names = [line for line in text.splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return _output(query).partition("\n")[0]


def _output(command: list[str]) -> str:
    """Standard output of a command; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""Finds, or builds, the environment of the peer that training is compared with."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "recbole_requirements.txt"
CACHE = Path(__file__).parent.parent / ".cache" / "peers"
PEERS = ("recbole", "torch")
"""Packages that a peer's worker needs, the best comparison first."""
_NEEDED_GIB = 9


class PeerError(RuntimeError):
    """The peer's environment cannot be built."""


def choose_peer(asked: str, python: str) -> str | None:
    """The peer that an environment has.

    Args:
        asked: one of `PEERS`, or "auto" for the first of them that is there.
        python: the environment's Python.

    Returns:
        its name; None if "auto" finds none.

    Raises:
        PeerError: if the one that was asked for is not there.
    """
    script = (
        "import importlib.util as util, sys\n"
        "print(*[name for name in sys.argv[1:] if util.find_spec(name)])"
    )
    there = _run([python, "-c", script, *PEERS]).split()
    if asked == "auto":
        return there[0] if there else None
    if asked not in there:
        raise PeerError(
            f"{python} must have {asked}. Received: {', '.join(there) or 'neither'}; "
            "`--peer_python` names another Python, `--peer none` leaves the peer out"
        )
    return asked


def recbole_python(cache: Path = CACHE) -> Path:
    """The Python of an environment with RecBole, built at the first call.

    Raises:
        PeerError: if there is too little space or a package cannot be had.
    """
    return environment("recbole", REQUIREMENTS, _NEEDED_GIB, cache)


def environment(
    name: str, requirements: Path, needed_gib: int, cache: Path = CACHE
) -> Path:
    """The Python of an environment that holds exactly what a file pins.

    It is marked whole by a file that is written last, and built anew where that is
    missing.

    Args:
        name: of its folder.
        requirements: every package, pinned.
        needed_gib: space that building it takes.
        cache: where environments lie.

    Raises:
        PeerError: if there is too little space or a package cannot be had.
    """
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache / f"{name}-{digest}"
    python, is_whole = folder / "bin" / "python", folder / ".installed"
    if is_whole.is_file():
        return python
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free / 2**30
    if free < needed_gib:
        raise PeerError(
            f"the environment of {name} needs {needed_gib} GiB in {cache}. "
            f"Received: {free:.1f} GiB free; `--peer none` leaves the peer out"
        )
    print(f"building {folder} (minutes)", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    # Everything is pinned: without resolving, what RecBole's SASRec never imports
    # (Ray, Triton) is spared.
    _run([str(python), "-m", "pip", "install", *_PIP_OPTIONS, "-r", str(requirements)])
    is_whole.touch()
    return python


_PIP_OPTIONS = ("--quiet", "--no-deps", "--no-cache-dir", "--disable-pip-version-check")


def _run(command: list[str]) -> str:
    """The output of a command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PeerError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        raise PeerError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout

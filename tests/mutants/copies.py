"""Tests of a changed module, in a copy of a process that has the libraries loaded."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

from tests.mutants.modules import ROOT, Target

LIBRARIES = ("tensorflow", "keras", "scipy.stats", "apache_beam", "hypothesis", "ot")
MOST_SECONDS = 240
"""A change may leave a thread waiting; the tests of a module take less than half."""

_POLL_SECONDS = 0.05


def load_libraries() -> None:
    """Imports what takes long, and nothing of the project."""
    importlib.import_module("tests.conftest")  # variables that TensorFlow reads
    for name in LIBRARIES:
        importlib.import_module(name)
    own = [name for name in sys.modules if name.startswith(("s4rec_tf", "beam_jobs"))]
    assert not own, f"a library or the tests' settings imported {own}"


class ChangedModule(importlib.abc.MetaPathFinder):
    """Gives a changed source in place of a module's own.

    It lies in a file, from which AutoGraph reads a function's lines again.

    Args:
        target: the module.
        source: its source.
        folder: for the file.
    """

    def __init__(self, target: Target, source: str, folder: str) -> None:
        self._target = target
        self._file = Path(folder) / target.path.name
        self._file.write_text(source, "utf-8")

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """The file for the module, none for others."""
        if name != self._target.module:
            return None
        return importlib.util.spec_from_file_location(name, self._file)


class Outcome(NamedTuple):
    """The end of a module's tests.

    Attributes:
        name: "passed", "failed" or "timeout".
        cpu_seconds: processor time of the copy.
    """

    name: str
    cpu_seconds: float


def outcome(
    target: Target, source: str, most_cpu_seconds: float = MOST_SECONDS
) -> Outcome:
    """The outcome of a module's tests with another source of it.

    Args:
        target: the module.
        source: its source.
        most_cpu_seconds: of the copy; a change may make a loop endless.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _outcome(target, source, folder, most_cpu_seconds)


def _outcome(target: Target, source: str, folder: str, most: float) -> Outcome:
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (int(most), int(most)))
        _become(target, source, folder)
    deadline = time.monotonic() + MOST_SECONDS
    ended = 0
    while not ended:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if not ended and time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the copy has started
    code = os.waitstatus_to_exitcode(status)
    names = {0: "passed", -signal.SIGKILL: "timeout"}
    return Outcome(names.get(code, "failed"), usage.ru_utime + usage.ru_stime)


def _become(target: Target, source: str, folder: str) -> None:
    code = 1
    try:
        os.setpgid(0, 0)  # what the tests start ends with them
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        sys.meta_path.insert(0, ChangedModule(target, source, folder))
        _leave_out_shrinking()
        flags = ("-x", "-q", "-p", "no:cacheprovider")
        code = int(pytest.main([*flags, *target.tests]))
    finally:
        os._exit(code)


def _leave_out_shrinking() -> None:
    """Ends Hypothesis' search at the first example that fails."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, database=None)
    hypothesis.settings.load_profile("mutants")


def source_of(target: Target) -> str:
    """A module's source."""
    return Path(ROOT / target.path).read_text("utf-8")

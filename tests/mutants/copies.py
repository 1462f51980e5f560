"""Tests of a changed module, in a copy of a process that has the libraries loaded."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import linecache
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutants.modules import ROOT, Target

LIBRARIES = ("tensorflow", "keras", "scipy.stats", "apache_beam", "hypothesis", "ot")
MOST_SECONDS = 240
"""A change may make a loop endless; the tests of a module take less than half of it."""

_POLL_SECONDS = 0.05


def load_libraries() -> None:
    """Imports what takes long, and nothing of the project."""
    importlib.import_module("tests.conftest")  # variables that TensorFlow reads
    for name in LIBRARIES:
        importlib.import_module(name)
    own = [name for name in sys.modules if name.startswith(("s4rec_tf", "beam_jobs"))]
    assert not own, f"a library or the tests' settings imported {own}"


class ChangedModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a changed source in place of a module's own.

    Args:
        target: the module.
        source: its source.
    """

    def __init__(self, target: Target, source: str) -> None:
        self._target = target
        self._source = source

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """Its own spec for the module, none for others."""
        if name != self._target.module:
            return None
        file = str(ROOT / self._target.path)
        return importlib.util.spec_from_file_location(name, file, loader=self)

    def create_module(self, spec) -> None:  # type: ignore[no-untyped-def]
        """Python's own."""

    def exec_module(self, module: ModuleType) -> None:
        """Runs the changed source."""
        file = str(ROOT / self._target.path)
        # AutoGraph reads a function's lines again.
        lines = self._source.splitlines(keepends=True)
        linecache.cache[file] = len(self._source), None, lines, file
        exec(compile(self._source, file, "exec"), module.__dict__)


def outcome(target: Target, source: str) -> str:
    """How a module's tests end with another source of it.

    Returns:
        "passed", "failed" or "timeout".
    """
    pid = os.fork()
    if pid == 0:
        _become(target, source)
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return "failed" if os.waitstatus_to_exitcode(status) else "passed"
        time.sleep(_POLL_SECONDS)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "timeout"


def _become(target: Target, source: str) -> None:
    code = 1
    try:
        os.setsid()  # what the tests start ends with them
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        sys.meta_path.insert(0, ChangedModule(target, source))
        flags = ("-x", "-q", "-p", "no:cacheprovider")
        code = int(pytest.main([*flags, *target.tests]))
    finally:
        os._exit(code)


def source_of(target: Target) -> str:
    """A module's source."""
    return Path(ROOT / target.path).read_text("utf-8")

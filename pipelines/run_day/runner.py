"""Runs the commands of a day's steps, each once for the same inputs."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.processes import QUIET, bound_child
from pipelines.run_day.folders import read_json
from s4rec_tf.atomic_files import write_json

Commands = Callable[[str, Sequence[str], Path], int]
"""Runs `python -m MODULE ARGUMENTS`, outputs into a log file; gives the exit code."""


class StepFailed(ValueError):
    """A step that could not be done: its data and its models may be good."""


class Refused(ValueError):
    """Data or a model that must not reach service."""


def run_module(module: str, arguments: Sequence[str], log: Path) -> int:
    """Runs a module as a process that does not outlive this one."""
    env = {**QUIET, **os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", module, *arguments]
    with log.open("wb") as sink, bound_child(command, env, sink) as process:
        return process.wait()


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a step.

    Attributes:
        name: of its record and its log.
        module: as `python -m` takes it.
        arguments: of its command line.
        inputs: digests of what it reads.
        output: the file or folder that is there, whole, once it is done.
        resumes: whether the same command goes on with an unfinished output.
        prints: whether its output is the JSON object that it prints last.
        checks_data: whether exit code 1 is a verdict on the data.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    inputs: Mapping[str, Any]
    output: Path
    resumes: bool = False
    prints: bool = False
    checks_data: bool = False

    def identity(self) -> dict[str, Any]:
        """The command and the inputs that made the output."""
        words = [self.module, *self.arguments]
        return {"command": words, "inputs": dict(self.inputs)}


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs commands and remembers which are done.

    Attributes:
        folder: of records and logs.
        commands: runs a module.
        report: prints a line.
    """

    folder: Path
    commands: Commands
    report: Callable[[str], None]

    def run(self, command: Command) -> None:
        """Runs a command, unless its output is there and made from the same inputs.

        Raises:
            Refused: if the command's verdict on the data is bad.
            StepFailed: if it fails otherwise.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        record = self.folder / f"{command.name}.json"
        wanted = json.loads(json.dumps(command.identity()))
        found = read_json(record) if record.is_file() else {}
        is_same = found.get("identity") == wanted
        if is_same and found["done"] and command.output.exists():
            self.report(f"{command.name}: up to date")
            return
        if not (is_same and command.resumes):
            _remove(command.output)
        write_json(record, {"identity": wanted, "done": False})
        self._run(command)
        write_json(record, {"identity": wanted, "done": True})

    def _run(self, command: Command) -> None:
        shown = shlex.join(["python", "-m", command.module, *command.arguments])
        self.report(f"{command.name}: {shown}")
        log, start = self.folder / f"{command.name}.log", time.monotonic()
        code = self.commands(command.module, command.arguments, log)
        if code:
            kind = Refused if code == 1 and command.checks_data else StepFailed
            raise kind(f"exit code {code}: {_last_line(log)} (see {log})")
        if command.prints:
            write_json(command.output, json.loads(_last_line(log, "{")))
        self.report(f"{command.name}: done in {time.monotonic() - start:.0f} s")


def _last_line(log: Path, beginning: str = "") -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines()
    fitting = [line for line in lines if line.strip() and line.startswith(beginning)]
    return fitting[-1] if fitting else "it printed nothing"


def _remove(output: Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink(missing_ok=True)

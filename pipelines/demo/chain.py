"""Runs a chain of commands, one a stage, and skips those already done.

A stage that ended well leaves a record: its command and the state of the files it read
and wrote. Another run with the same record skips it. A stage whose command resumes by
itself needs no record and is always run.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.fork_server import ForkServer


class StageError(Exception):
    """A stage that failed: which one, its command, and how it ended."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command of the chain.

    Attributes:
        name: what it does, for the banner.
        module: the module run by `python -m`.
        arguments: what follows on the command line.
        reads: files whose size or time of change makes the stage due again.
        writes: files that exist once the stage is done; none means that the command
            itself finds out what is left to do.
        keep_output: whether standard output is also handed back.
        quiet: whether kept output is not shown.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    keep_output: bool = False
    quiet: bool = False

    @property
    def command(self) -> list[str]:
        """The command as a list of words."""
        return [sys.executable, "-m", self.module, *self.arguments]

    def shown(self) -> str:
        """The command as one would type it."""
        return shlex.join(["python", "-m", self.module, *self.arguments])

    def failure(self, code: int) -> str:
        """The error message for an exit code other than 0."""
        command = f"Its command:\n    {self.shown()}"
        return f"stage {self.name!r} failed with exit code {code}. {command}"


class Chain:
    """Runs stages in order, prints progress, and skips what is done.

    Args:
        records: folder of the records, one JSON file a stage.
        total: number of stages, for the banners.
        processes: runs their commands.
    """

    def __init__(self, records: Path, total: int, processes: ForkServer) -> None:
        self._records = records
        self._total = total
        self._processes = processes
        self._begun = 0

    def begin(self, stage: Stage) -> None:
        """Prints the banner of the next stage."""
        self._begun += 1
        print(f"\n=== [{self._begun}/{self._total}] {stage.name}", flush=True)
        print(f"    {stage.shown()}", flush=True)

    def run(self, stage: Stage) -> str:
        """Runs a stage, or skips it when its record still holds.

        Returns:
            Its standard output if `keep_output` is set, otherwise "".

        Raises:
            StageError: if the command ends with an exit code other than 0.
        """
        self.begin(stage)
        record = self._records / f"{_file_name(stage.name)}.json"
        if (kept := _kept_output(stage, record)) is not None:
            print("    already done with these inputs: skipped", flush=True)
            return kept
        record.unlink(missing_ok=True)
        start = time.monotonic()
        output = self._run_command(stage)
        print(f"    done in {time.monotonic() - start:.1f} s", flush=True)
        if stage.writes:
            _write_record(stage, record, output)
        return output

    def _run_command(self, stage: Stage) -> str:
        """Runs the command in the foreground; its output is shown as it comes."""
        lines: list[str] = []

        def keep(line: str) -> None:
            # An object in one line is meant for programs.
            if not stage.quiet and not line.startswith("{"):
                print(line, end="", flush=True)
            lines.append(line)

        on_line = keep if stage.keep_output else None
        code = self._processes.run(stage.module, stage.arguments, on_line)
        if code != 0:
            raise StageError(stage.failure(code))
        return "".join(lines)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _states(paths: Sequence[Path]) -> dict[str, list[int] | None]:
    """Size and time of change of each file; None for one that does not exist."""
    return {
        str(path): [path.stat().st_size, path.stat().st_mtime_ns]
        if path.exists()
        else None
        for path in paths
    }


def _record_of(stage: Stage) -> dict[str, object]:
    return {
        "command": [stage.module, *stage.arguments],
        "reads": _states(stage.reads),
        "writes": _states(stage.writes),
    }


def _kept_output(stage: Stage, record: Path) -> str | None:
    """Standard output of the finished stage; None if it is due."""
    if not stage.writes or not all(path.exists() for path in stage.writes):
        return None
    try:
        kept = json.loads(record.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    output = str(kept.pop("output", ""))
    return output if kept == _record_of(stage) else None


def _write_record(stage: Stage, record: Path, output: str) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    beside = record.with_suffix(".partial")
    beside.write_text(json.dumps({**_record_of(stage), "output": output}, indent=1))
    beside.rename(record)

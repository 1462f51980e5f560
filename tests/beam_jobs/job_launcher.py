"""Runs jobs that are killed, each in a process group of its own.

Reads one JSON object a line: `argv` of the job, and how it dies: `kill_after` seconds;
or `rename`, the path that a file or folder is about to be renamed to (or, a number, the
how manieth rename), with `when`: "before" or "after". Answers with the exit status.
Forking after the imports spares every job the seconds that they take.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import apache_beam  # noqa: F401
import pytest
from without_statistics import leave_statistics_out

import beam_jobs.job  # noqa: F401
from beam_jobs import prepare_dataset


def die() -> None:
    os.killpg(0, signal.SIGKILL)


def die_at_rename(name: str | int, when: str) -> None:
    seen = 0

    def dying(real: Any) -> Any:
        def rename(source: Any, target: Any, **others: Any) -> None:
            nonlocal seen
            seen += 1
            is_meant = name in (seen, str(target))
            if is_meant and when == "before":
                die()
            real(source, target, **others)
            if is_meant:
                die()

        return rename

    os.rename, os.replace = dying(os.rename), dying(os.replace)


def run_job(command: dict[str, Any]) -> None:
    os.setsid()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    if not command.get("validate"):
        leave_statistics_out(pytest.MonkeyPatch())
    if "rename" in command:
        die_at_rename(command["rename"], command["when"])
    os._exit(prepare_dataset.run(command["argv"]))


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            run_job(command)
        if "kill_after" in command:
            time.sleep(command["kill_after"])
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:  # not yet a group, or already over
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

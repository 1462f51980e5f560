"""A child process that answers commands, a JSON line each.

A measurement has a process of its own, since the peak memory of a process only rises
and a library loaded for one measurement must not weigh on another.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

Handler = Callable[..., Any]


class ChildError(RuntimeError):
    """A child process that ended before it answered, with what it last printed."""


class Child:
    """Runs a command whose process serves with `serve`.

    Args:
        command: program and arguments.
        environment: variables that differ from this process's.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | (environment or {}),
            text=True,
        )

    def ask(self, name: str, **arguments: Any) -> Any:
        """Sends a command and waits for its answer.

        Raises:
            ChildError: if the process ends without one.
        """
        assert self._process.stdin and self._process.stdout
        try:
            print(
                json.dumps({"name": name, **arguments}),
                file=self._process.stdin,
                flush=True,
            )
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ChildError(
                f"{self._process.args!r} ended with exit code {self._process.wait()} "
                f"on {name!r}:\n{self._tail()}"
            )
        return json.loads(answer)

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")[-2000:]

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.close()
            self._process.wait(timeout=30)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


def serve(make_handlers: Callable[[], dict[str, Handler]]) -> None:
    """Answers the commands on standard input until it is closed.

    Args:
        make_handlers: gives the functions to call, by name of command.
    """
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    handlers = make_handlers()
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = handlers[arguments.pop("name")](**arguments)
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory_gib() -> float:
    """The most memory that this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

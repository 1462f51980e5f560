"""Runs commands in copies of one process that has imported TensorFlow already.

A command of its own process imports TensorFlow, Keras, Beam and TensorFlow Data
Validation anew, which takes seconds. A copy of a process that has imported them starts
at once. The server of Python's `multiprocessing` makes the copies.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from multiprocessing import connection, context, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipelines.processes import QUIET
from s4rec_tf.exit_codes import of_signal

HEAVY = ("s4rec_tf", "keras", "beam_jobs.transforms.statistics")
"""Packages of the stages. `s4rec_tf` comes first: it sets variables for TensorFlow."""


class ForkServer:
    """Starts `python -m MODULE ...` as copies of a process with all imports.

    That process imports while this one goes on, and ends with the block. A process has
    one at a time.

    Args:
        imported: modules that are imported once.
    """

    def __init__(self, imported: Sequence[str] = HEAVY) -> None:
        for name, value in {**QUIET, "PYTHONUNBUFFERED": "1"}.items():
            os.environ.setdefault(name, value)
        self._context: context.ForkServerContext = multiprocessing.get_context(
            "forkserver"
        )
        self._context.set_forkserver_preload(list(imported))
        forkserver.ensure_running()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        # Waited for, so that its time counts as this process' (`/usr/bin/time`).
        forkserver._forkserver._stop()  # type: ignore[attr-defined]

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        on_line: Callable[[str], None] | None = None,
    ) -> int:
        """Runs a module to its end; no copy outlives the call.

        Args:
            module: as `python -m` takes it.
            arguments: of its command line.
            on_line: called with every line of its standard output; None leaves that
                output where this process has its own.

        Returns:
            its exit code, as a shell has it: 128 and more for signals.
        """
        reader, writer = self._outputs(on_line is not None)
        process = self._context.Process(
            target=_become, args=(module, list(arguments), writer)
        )
        process.start()
        writer.close()
        try:
            if reader is not None and on_line is not None:
                with os.fdopen(reader, encoding="utf-8") as lines:
                    for line in lines:
                        on_line(line)
            process.join()
        finally:
            _stop(process)
        return _exit_code(process)

    def run_logged(self, module: str, arguments: Sequence[str], log: Path) -> int:
        """As `run`, both outputs into a file."""
        with log.open("wb") as sink:
            output = connection.Connection(os.dup(sink.fileno()), readable=False)
        process = self._context.Process(
            target=_become, args=(module, list(arguments), output, (1, 2))
        )
        process.start()
        output.close()
        try:
            process.join()
        finally:
            _stop(process)
        return _exit_code(process)

    @staticmethod
    def _outputs(is_read: bool) -> tuple[int | None, connection.Connection]:
        """A descriptor to read from, if asked for, and what the copy writes to."""
        # As a connection, which `multiprocessing` can hand to the copy.
        if not is_read:
            return None, connection.Connection(os.dup(1), readable=False)
        reader, writer = os.pipe()
        return reader, connection.Connection(writer, readable=False)


def _exit_code(process: BaseProcess) -> int:
    code = process.exitcode or 0
    return code if code >= 0 else of_signal(-code)


def _become(
    module: str,
    arguments: list[str],
    output: connection.Connection,
    descriptors: Sequence[int] = (1,),
) -> None:
    """Is the command from here on; called in the copy."""
    for descriptor in descriptors:
        os.dup2(output.fileno(), descriptor)
    output.close()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _stop(process: BaseProcess) -> None:
    """Ends a copy that still runs: asks first, kills after ten seconds."""
    if process.is_alive():
        process.terminate()
        process.join(10)
    if process.is_alive():
        process.kill()
        process.join()

"""`serving.server` as a child process on free ports, for as long as it is needed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pipelines.demo.chain import Stage, StageError
from pipelines.processes import logged_child

START_SECONDS = 120
READY = re.compile(r"^serving: grpc=(\S+) ", re.MULTILINE)
"""The line that the server prints when it is ready."""


class LocalServer:
    """A server of one model that stops when the block that uses it is left.

    Args:
        model_name: name that requests give.
        base_path: folder of the model's versions.
        log: file that receives what the server prints.

    Attributes:
        stage: its command.
        grpc_target: HOST:PORT of the gRPC service, once it runs.
    """

    def __init__(self, model_name: str, base_path: Path, log: Path) -> None:
        model = ("--model_name", model_name, "--model_base_path", str(base_path))
        any_free = ("--port", "0", "--rest_api_port", "0")
        self.stage = Stage("start the server", "serving.server", (*model, *any_free))
        self.grpc_target = ""
        self._log = log
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> LocalServer:
        """Starts the server and waits until the model can be asked.

        Raises:
            StageError: if it ends by itself or is not ready in time.
        """
        with self._stack:
            process = self._stack.enter_context(
                logged_child(self.stage.command, self._log)
            )

            def ready() -> bool:
                if process.poll() is not None:
                    failure = self.stage.failure(process.returncode)
                    raise StageError(f"{failure}\n{self._end_of_log()}")
                return bool(READY.search(self._printed()))

            wait_until(ready, START_SECONDS, f"the server (see {self._log})")
            self.grpc_target = READY.findall(self._printed())[0]
            self._stack = self._stack.pop_all()
        print(f"    ready at {self.grpc_target}", flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops the server."""
        self._stack.close()

    def _printed(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def _end_of_log(self) -> str:
        return "\n".join(["the end of its log:", *self._printed().splitlines()[-15:]])


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Calls `ready` four times a second.

    Raises:
        StageError: if it has not returned True within `seconds`.
    """
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise StageError(f"{what} was not ready within {seconds:.0f} s")
        time.sleep(0.25)

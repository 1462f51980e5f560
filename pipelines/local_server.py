"""`serving.server` as a child process on free ports, for as long as it is needed."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pipelines.processes import logged_child

MODULE = "serving.server"
START_SECONDS = 120
READY = re.compile(r"^serving: grpc=(\S+) ", re.MULTILINE)
"""The line that the server prints when it is ready."""


class ServerError(ValueError):
    """A server that ended by itself, or was not ready in time."""


class LocalServer:
    """A server of one model that stops when the block that uses it is left.

    Args:
        model_name: name that requests give.
        base_path: folder of the model's versions.
        log: file that receives what the server prints.

    Attributes:
        arguments: of its command line.
        grpc_target: HOST:PORT of the gRPC service, once it runs.
    """

    def __init__(self, model_name: str, base_path: Path, log: Path) -> None:
        model = ("--model_name", model_name, "--model_base_path", str(base_path))
        any_free = ("--port", "0", "--rest_api_port", "0")
        # A version that cannot be loaded ends the server at once.
        self.arguments = (*model, *any_free, "--max_num_load_retries", "0")
        self.grpc_target = ""
        self._log = log
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> LocalServer:
        """Starts the server and waits until the model can be asked.

        Raises:
            ServerError: if it ends by itself or is not ready in time.
        """
        words = ["-m", MODULE, *self.arguments]
        with self._stack:
            process = self._stack.enter_context(
                logged_child([sys.executable, *words], self._log)
            )

            def ready() -> bool:
                if process.poll() is not None:
                    raise ServerError(
                        f"the server ended with exit code {process.returncode}. Its "
                        f"command: python {' '.join(words)}\n{self._end_of_log()}"
                    )
                return bool(READY.search(self._printed()))

            wait_until(ready, START_SECONDS, f"the server (see {self._log})")
            self.grpc_target = READY.findall(self._printed())[0]
            self._stack = self._stack.pop_all()
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
        ServerError: if it has not returned True within `seconds`.
    """
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise ServerError(f"{what} was not ready within {seconds:.0f} s")
        time.sleep(0.25)

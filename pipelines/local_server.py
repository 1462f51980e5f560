"""`serving.server` as a child process on free ports, for as long as it is needed."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from pipelines.stages import Stage, StageError, child, wait_until

START_SECONDS = 120


class LocalServer:
    """A server of one model that stops when the block that uses it is left.

    Args:
        model_name: name that requests give.
        base_path: folder of the model's versions.
        log: file that receives what the server prints.

    Attributes:
        stage: its command.
    """

    def __init__(self, model_name: str, base_path: Path, log: Path) -> None:
        self._model_name = model_name
        self._log = log
        self._grpc, self._rest = free_ports(2)
        model = ("--model_name", model_name, "--model_base_path", str(base_path))
        ports = ("--port", str(self._grpc), "--rest_api_port", str(self._rest))
        self.stage = Stage("start the server", "serving.server", (*model, *ports))
        self._stack = contextlib.ExitStack()

    @property
    def grpc_target(self) -> str:
        """HOST:PORT of the gRPC service."""
        return f"localhost:{self._grpc}"

    def __enter__(self) -> LocalServer:
        """Starts the server and waits until the model can be asked.

        Raises:
            StageError: if it ends by itself or is not ready in time.
        """
        with self._stack:
            command = self.stage.command
            process = self._stack.enter_context(child(command, log=self._log))

            def ready() -> bool:
                if process.poll() is not None:
                    failure = self.stage.failure(process.returncode)
                    raise StageError(f"{failure}\n{self._end_of_log()}")
                return self._is_available()

            wait_until(ready, START_SECONDS, f"the server (see {self._log})")
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

    def _is_available(self) -> bool:
        """Whether the REST status names an available version."""
        url = f"http://localhost:{self._rest}/v1/models/{self._model_name}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                versions = json.load(answer)["model_version_status"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return any(version["state"] == "AVAILABLE" for version in versions)

    def _end_of_log(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(["the end of its log:", *lines[-15:]])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]

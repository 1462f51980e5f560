"""The compiled load generator: built where Go is, run against a server."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "load_generator"
CACHE = Path(__file__).parent.parent / ".cache"


class LoadError(RuntimeError):
    """The load generator cannot be built or failed."""


def build(cache: Path = CACHE) -> Path:
    """The generator's binary, compiled at the first call.

    Raises:
        LoadError: if there is no Go or the modules cannot be had.
    """
    sources = sorted(SOURCES.iterdir())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    binary = cache / f"load_generator-{digest.hexdigest()[:12]}"
    if not binary.is_file():
        go = shutil.which("go")
        if go is None:
            raise LoadError("the load generator is compiled by Go 1.26: `go` is needed")
        cache.mkdir(parents=True, exist_ok=True)
        _run([go, "build", "-o", f"{binary}.part", "."], cwd=SOURCES)
        Path(f"{binary}.part").rename(binary)
    return binary


@dataclasses.dataclass(frozen=True)
class Load:
    """Calls to one server.

    Attributes:
        target: HOST:PORT.
        method: of gRPC, with its service; over HTTP a path.
        payloads: folder of requests.
        seconds: of each measurement.
        connections: that calls take by turns.
        is_http: whether requests are posted over HTTP/1.1.
    """

    target: str
    method: str
    payloads: Path
    seconds: float
    connections: int = 32
    is_http: bool = False

    def offer(self, rate: float) -> dict[str, Any]:
        """Calls at Poisson times, so many a second on average; see `main.go`."""
        return self._run("-rate", rate)

    def saturate(self, workers: int) -> dict[str, Any]:
        """So many calls at a time, each followed by the next."""
        return self._run("-workers", workers)

    def _run(self, kind: str, value: float) -> dict[str, Any]:
        flags = {
            "-target": self.target,
            "-method": self.method,
            "-payloads": self.payloads,
            "-seconds": self.seconds,
            "-connections": self.connections,
            kind: value,
        }
        command = [str(build())]
        for name, given in flags.items():
            command += [name, str(given)]
        if self.is_http:
            command.append("-http")
        report: dict[str, Any] = json.loads(_run(command))
        return report


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        raise LoadError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout

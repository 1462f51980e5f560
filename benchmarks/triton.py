"""NVIDIA Triton from PyPI: its environment, its process, its requests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.free_ports import free_port
from benchmarks.peers import CACHE, PeerError, environment

OWN = Path(__file__).parent.parent / "serving" / "triton"
REQUIREMENTS = Path(__file__).parent / "triton_requirements.txt"
_NEEDED_GIB = 3
_START_SECONDS = 180


def triton_python(cache: Path = CACHE) -> Path:
    """The Python of an environment with Triton and TensorFlow, built at the first call.

    Raises:
        PeerError: if there is too little space or a package cannot be had.
    """
    return environment("triton", REQUIREMENTS, _NEEDED_GIB, cache)


def write_repository(
    repository: Path,
    name: str,
    version: Path,
    signature: str = "serving_default",
    outputs: Sequence[str] = (),
) -> None:
    """Adds a model to a model repository, as docs/serving_with_triton.md says.

    Args:
        repository: the folder.
        name: of the model.
        version: BASE/NAME/N, read in place.
        signature: the one that answers.
        outputs: those of the signature to answer; none for all.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    shutil.copy(OWN / "model.py", folder / "1")
    (folder / "1" / "savedmodel").symlink_to(version.resolve())
    config = (OWN / "config.pbtxt").read_text("utf-8")
    config = config.replace("serving_default", signature)
    config += "".join(f'output [ {{ name: "{output}" }} ]\n' for output in outputs)
    (folder / "config.pbtxt").write_text(config, "utf-8")


@contextlib.contextmanager
def running(repository: Path, log: Path) -> Iterator[tuple[str, int]]:
    """Triton over a model repository; its gRPC address and process id.

    Args:
        repository: see `write_repository`.
        log: gets what it prints.

    Raises:
        PeerError: if it does not become ready.
    """
    python = triton_python()
    ports = {name: free_port() for name in ("grpc", "http", "metrics")}
    with tempfile.TemporaryDirectory() as folder, log.open("wb") as output:
        command = _command(python, repository, _backends(python, Path(folder)))
        command += [f"--{name}-port={port}" for name, port in ports.items()]
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=_variables(python)
        )
        try:
            _wait_ready(process, ports["http"], log)
            yield f"127.0.0.1:{ports['grpc']}", process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _site(python: Path) -> Path:
    (found,) = python.parent.parent.glob("lib/python3.*/site-packages")
    return found


def _backends(python: Path, folder: Path) -> Path:
    """A folder with the Python backend, whose stub must be that of our Python."""
    own = _site(python) / "pytriton" / "tritonserver"
    backends = folder / "backends"
    shutil.copytree(own / "backends" / "python", backends / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for stub in (own / "python_backend_stubs" / version).iterdir():
        shutil.copy(stub, backends / "python")
    return backends


def _command(python: Path, repository: Path, backends: Path) -> list[str]:
    server = _site(python) / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    addresses = [f"--{name}-address=127.0.0.1" for name in ("grpc", "http", "metrics")]
    return [
        str(server),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        *addresses,
    ]


def _variables(python: Path) -> dict[str, str]:
    import sysconfig

    # The stub links against libpython, which need not stand where the loader looks.
    own = _site(python) / "nvidia_pytriton.libs"
    libraries = [own, sysconfig.get_config_var("LIBDIR")]
    return os.environ | {
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PYTHONPATH": str(_site(python)),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            address = f"http://127.0.0.1:{port}/v2/health/ready"
            with urllib.request.urlopen(address, timeout=5):
                return
        if process.poll() is not None or time.monotonic() > end:
            text = log.read_text("utf-8", "replace")[-2000:]
            raise PeerError(f"Triton does not become ready:\n{text}")
        time.sleep(0.2)

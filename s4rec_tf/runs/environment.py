"""The environment that a run's numbers come from, for its manifest."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = ("numpy", "keras", "tensorflow", "jax", "jaxlib")


def environment(device: str) -> dict[str, Any]:
    """Code, libraries, device and processor, JSON-safe.

    Args:
        device: what the run trains on, in words.
    """
    # Imported late: it loads the backend, which those who read manifests need not.
    import keras

    return {
        "code_sha256": code_digest(),
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "libraries": {name: v for name in _LIBRARIES if (v := _version(name))},
        "device": device,
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)),
        "flags": {
            name: os.environ[name] for name in sorted(os.environ) if _is_flag(name)
        },
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences from the environment now, one line a name."""
    return [
        f"{name}: {before.get(name)!r} there, {now.get(name)!r} here"
        for name in now
        if before.get(name) != now.get(name)
    ]


@functools.cache
def code_digest() -> str:
    """Digest of the package's source, whichever commit it is of."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_flag(name: str) -> bool:
    """Whether a variable can change what is computed, or in which order."""
    return name in ("XLA_FLAGS", "OMP_NUM_THREADS") or name.startswith(
        ("TF_NUM_", "TF_ENABLE_", "TF_XLA_", "TF_DETERMINISTIC", "JAX_")
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line for line in lines if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()

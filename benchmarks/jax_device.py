"""JAX's device, and its time of compiling."""

from __future__ import annotations

import importlib.metadata
import time
from typing import Any

import jax

from benchmarks.stopwatch import best_seconds, covered_seconds

_COMPILE_EVENTS = "/jax/core/compile/"
_PACKAGES = ("jax", "keras")
_CEILING_SIZES = {"cpu": 2048}
_LARGE_CEILING_SIZE = 8192


class CompileClock:
    """Adds up the time that JAX spends on tracing, lowering and compiling.

    Begins with its making.
    """

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def seconds(self, until: float = float("inf")) -> float:
        """Seconds, up to a time of `time.time`; what lies inside another, once."""
        return covered_seconds(self._intervals, until)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        if event.startswith(_COMPILE_EVENTS):
            now = time.time()
            self._intervals.append((now - duration_secs, now))


def facts() -> dict[str, str]:
    """The device that training runs on, and versions."""
    device = jax.devices()[0]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "versions": ", ".join(versions),
    }


def peak_memory_gib() -> float | None:
    """The most that arrays have taken on the device, GiB; None if it does not tell."""
    told = jax.devices()[0].memory_stats() or {}
    peak = told.get("peak_bytes_in_use")
    return None if peak is None else peak / 2**30


def ceiling(seconds: float, dtype: str) -> float:
    """The best rate of a large matrix product, operations a second.

    In float32 at the precision that training leaves to JAX, TF32 where the device has
    it.
    """
    size = _CEILING_SIZES.get(jax.devices()[0].platform, _LARGE_CEILING_SIZE)
    matrix = jax.random.normal(jax.random.key(1), (size, size), dtype)
    product = jax.jit(lambda values: values @ values)
    return (
        2 * size**3 / best_seconds(lambda: product(matrix).block_until_ready(), seconds)
    )

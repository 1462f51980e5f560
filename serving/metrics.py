"""Counters and latencies for Prometheus, under TF Serving's names.

Names, labels and buckets are those of tensorflow_serving/servables/tensorflow/util.cc,
the format that of its util/prometheus_exporter.cc: `/` of a name is written as `:`.
The registry is the process's, as in TF Serving.
"""

from __future__ import annotations

import contextlib
import re
import time

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.status import StatusError

DEFAULT_PATH = "/monitoring/prometheus/metrics"

_LATENCY_BOUNDS = [float(f"{10 * 1.8**power:g}") for power in range(33)]
_SIZE_BOUNDS = [float(2**power) for power in range(15)]
_UNKNOWN_MODEL = ""
"""Label of requests for models that are not served: clients may invent any name."""

_REGISTRY = CollectorRegistry()
_SERVING = ":tensorflow:serving"


def _counter(name: str, *labels: str) -> Counter:
    return Counter(name, name, labels, registry=_REGISTRY)


def _histogram(name: str, bounds: list[float], *labels: str) -> Histogram:
    return Histogram(name, name, labels, buckets=bounds, registry=_REGISTRY)


REQUESTS = _counter(f"{_SERVING}:request_count", "model_name", "status")
REQUEST_LATENCY = _histogram(
    f"{_SERVING}:request_latency",
    _LATENCY_BOUNDS,
    *("model_name", "API", "entrypoint"),
)
RUNTIME_LATENCY = _histogram(
    f"{_SERVING}:runtime_latency", _LATENCY_BOUNDS, "model_name", "API", "runtime"
)
WARMUP_LATENCY = _histogram(
    f"{_SERVING}:model_warmup_latency", _LATENCY_BOUNDS, "model_path", "status"
)
BATCH_INPUT = _histogram(
    f"{_SERVING}:batching_session:input_batch_size", _SIZE_BOUNDS, "signature"
)
LOAD_ATTEMPTS = _counter(
    ":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status"
)
# Not TF Serving's: it tells no metric why a version was refused.
REJECTED = _counter(
    ":s4rec:serving:rejected_version_count", "model_name", "version", "reason"
)

# The library names counters as OpenMetrics does, and dates them.
prometheus_client.disable_created_metrics()
_TOTAL = re.compile(r"^((?:# \w+ )?:[\w:]+_count)_total(?=[ {])", re.MULTILINE)


def page() -> str:
    """What a scrape gets."""
    text = prometheus_client.generate_latest(_REGISTRY).decode()
    return _TOTAL.sub(r"\1", text)


class Request(contextlib.AbstractContextManager[None]):
    """Counts what happens in the block as one request, and its time if it succeeds.

    Args:
        model_name: the model asked for.
        known: whether there is such a model.
        api: as TF Serving calls it, `Predict` for one.
        entrypoint: `GRPC` or `REST`.
    """

    def __init__(self, model_name: str, known: bool, api: str, entrypoint: str) -> None:
        self._labels = (model_name if known else _UNKNOWN_MODEL, api, entrypoint)

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            micros = 1e6 * (time.perf_counter() - self._start)
            REQUEST_LATENCY.labels(*self._labels).observe(micros)
            status = "OK"
        else:
            status = _status(error)
        REQUESTS.labels(self._labels[0], status).inc()


def _status(error: object) -> str:
    if isinstance(error, StatusError):
        return error.code.name
    # The caller has gone, or its time has passed: asyncio's CancelledError.
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"

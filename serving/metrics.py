"""Prometheus metrics under TF Serving's names, labels and buckets.

They are those of tensorflow_serving/servables/tensorflow/util.cc, with `/` written as
`:`. The registry is the process's, as in TF Serving.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.status import StatusError

DEFAULT_PATH = "/monitoring/prometheus/metrics"

_LATENCY_BOUNDS = [float(f"{10 * 1.8**power:g}") for power in range(33)]
_SIZE_BOUNDS = [float(2**power) for power in range(15)]
_REGISTRY = CollectorRegistry()
_SERVING = ":tensorflow:serving"
_ANSWERS, _VERSION = ":s4rec:answers", ("model_name", "version")


def _counter(name: str, *labels: str) -> Counter:
    return Counter(name, name, labels, registry=_REGISTRY)


def _histogram(
    name: str, *labels: str, bounds: list[float] = _LATENCY_BOUNDS
) -> Histogram:
    return Histogram(name, name, labels, buckets=bounds, registry=_REGISTRY)


_REQUESTS = _counter(f"{_SERVING}:request_count", "model_name", "status")
_REQUEST_LATENCY = _histogram(
    f"{_SERVING}:request_latency", "model_name", "API", "entrypoint"
)
RUNTIME_LATENCY = _histogram(
    f"{_SERVING}:runtime_latency", "model_name", "API", "runtime"
)
WARMUP_LATENCY = _histogram(f"{_SERVING}:model_warmup_latency", "model_path", "status")
BATCH_INPUT = _histogram(
    f"{_SERVING}:batching_session:input_batch_size", "signature", bounds=_SIZE_BOUNDS
)
LOAD_ATTEMPTS = _counter(
    ":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status"
)
# TF Serving has no metric of the reason.
REJECTED = _counter(
    ":s4rec:serving:rejected_version_count", "model_name", "version", "reason"
)

# What is asked and answered, of exports with a list of their items; see `Watch`.
ROWS = _counter(f"{_ANSWERS}:row_count", *_VERSION, "user", "answer")
HISTORY_LENGTH = _histogram(
    f"{_ANSWERS}:history_length",
    *_VERSION,
    bounds=[0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200],
)
HISTORY_ITEMS = _counter(f"{_ANSWERS}:history_item_count", *_VERSION, "item")
BEST_SCORES = _counter(f"{_ANSWERS}:best_score_count", *_VERSION, "tenth")

# The library names counters as OpenMetrics does, and dates them.
prometheus_client.disable_created_metrics()
_TOTAL = re.compile(r"^((?:# \w+ )?:[\w:]+_count)_total(?=[ {])", re.MULTILINE)


def page() -> str:
    """The answer to a scrape."""
    return _TOTAL.sub(r"\1", prometheus_client.generate_latest(_REGISTRY).decode())


@contextlib.contextmanager
def timed(histogram: Histogram, *labels: str) -> Iterator[None]:
    """Observes the microseconds of a block that succeeds."""
    start = time.perf_counter()
    yield
    histogram.labels(*labels).observe(1e6 * (time.perf_counter() - start))


@contextlib.contextmanager
def request(model_name: str, api: str, entrypoint: str) -> Iterator[None]:
    """Counts a block as one request under its status, and times it if it succeeds.

    The name of an unknown model is "", since clients may invent names.
    """
    status = "OK"
    try:
        with timed(_REQUEST_LATENCY, model_name, api, entrypoint):
            yield
    except BaseException as error:
        # CancelledError is no Exception: the caller is gone or its time is up.
        status = "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
        if isinstance(error, StatusError):
            status = error.code.name
        raise
    finally:
        _REQUESTS.labels(model_name, status).inc()

"""Counters and latencies in Prometheus' text format, under TF Serving's names.

Names, labels and buckets are those of tensorflow_serving/servables/tensorflow/util.cc,
the format that of its util/prometheus_exporter.cc: `/` of a name is written as `:`.
The registry is the process's, as in TF Serving.
"""

from __future__ import annotations

import asyncio
import bisect
import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from serving.status import StatusError

DEFAULT_PATH = "/monitoring/prometheus/metrics"

_LATENCY_BOUNDS = [10 * 1.8**power for power in range(33)]
_MANY_NEWS = 1000
_SIZE_BOUNDS = [float(2**power) for power in range(15)]
_UNKNOWN_MODEL = ""
"""Label of requests for models that are not served: clients may invent any name."""


class _Metric:
    """Values by labels.

    What is noted waits in a list, which needs no lock, till many have come or somebody
    looks: threads that answer requests must not queue up here.
    """

    def __init__(self, name: str, *labels: str) -> None:
        """Takes the name with `/` and the labels' names."""
        self.name = name.replace("/", ":")
        self._labels = labels
        self._lock = threading.Lock()
        self._news: collections.deque[tuple[tuple[str, ...], float]] = (
            collections.deque()
        )

    def _note(self, labels: tuple[str, ...], value: float) -> None:
        self._news.append((labels, value))
        if len(self._news) > _MANY_NEWS:
            with self._lock:
                self._take_up_news()

    def _take_up_news(self) -> None:
        # What comes meanwhile waits for the next time.
        for _ in range(len(self._news)):
            self._take_up(*self._news.popleft())

    def _take_up(self, labels: tuple[str, ...], value: float) -> None:
        raise NotImplementedError


class Counter(_Metric):
    """Counts by labels."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        """Takes the name with `/` and the labels' names."""
        super().__init__(name, *labels)
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, count: int = 1) -> None:
        """Adds to the count of these labels."""
        self._note(labels, count)

    def _take_up(self, labels: tuple[str, ...], value: float) -> None:
        self._values[labels] = self._values.get(labels, 0) + int(value)

    def lines(self) -> Iterator[str]:
        """A line a set of labels."""
        with self._lock:
            self._take_up_news()
            values = dict(self._values)
        for labels, value in values.items():
            yield f"{self.name}{{{_pairs(self._labels, labels)}}} {value}"


class Histogram(_Metric):
    """Distributions by labels."""

    kind = "histogram"

    def __init__(self, name: str, bounds: list[float], *labels: str) -> None:
        """Takes the name with `/`, the buckets' upper bounds and the labels' names."""
        super().__init__(name, *labels)
        self._bounds = bounds
        self._values: dict[tuple[str, ...], tuple[list[int], float]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Adds a value to the distribution of these labels."""
        self._note(labels, value)

    def _take_up(self, labels: tuple[str, ...], value: float) -> None:
        counts, total = self._values.get(labels) or (
            [0] * (len(self._bounds) + 1),
            0.0,
        )
        counts[bisect.bisect_left(self._bounds, value)] += 1
        self._values[labels] = (counts, total + value)

    def lines(self) -> Iterator[str]:
        """For each set of labels the cumulative buckets, the sum and the count."""
        with self._lock:
            self._take_up_news()
            values = {key: (list(c), total) for key, (c, total) in self._values.items()}
        for labels, (counts, total) in values.items():
            pairs, so_far = _pairs(self._labels, labels), 0
            separator = "," if pairs else ""
            limits = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
            for limit, count in zip(limits, counts, strict=True):
                so_far += count
                yield f'{self.name}_bucket{{{pairs}{separator}le="{limit}"}} {so_far}'
            yield f"{self.name}_sum{{{pairs}}} {total:g}"
            yield f"{self.name}_count{{{pairs}}} {so_far}"


def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_SERVING = "/tensorflow/serving"
REQUESTS = Counter(f"{_SERVING}/request_count", "model_name", "status")
REQUEST_LATENCY = Histogram(
    f"{_SERVING}/request_latency",
    _LATENCY_BOUNDS,
    *("model_name", "API", "entrypoint"),
)
RUNTIME_LATENCY = Histogram(
    f"{_SERVING}/runtime_latency", _LATENCY_BOUNDS, "model_name", "API", "runtime"
)
WARMUP_LATENCY = Histogram(
    f"{_SERVING}/model_warmup_latency", _LATENCY_BOUNDS, "model_path", "status"
)
BATCH_INPUT = Histogram(
    f"{_SERVING}/batching_session/input_batch_size", _SIZE_BOUNDS, "signature"
)
LOAD_ATTEMPTS = Counter(
    "/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status"
)
# Not TF Serving's: it tells no metric why a version was refused.
REJECTED = Counter(
    "/s4rec/serving/rejected_version_count", "model_name", "version", "reason"
)

_ALL = (
    *(REQUESTS, REQUEST_LATENCY, RUNTIME_LATENCY, WARMUP_LATENCY, BATCH_INPUT),
    *(LOAD_ATTEMPTS, REJECTED),
)


def page() -> str:
    """What a scrape gets."""
    lines = []
    for metric in _ALL:
        values = list(metric.lines())
        if values:
            lines += [f"# TYPE {metric.name} {metric.kind}", *values]
    return "\n".join(lines) + "\n"


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
            REQUEST_LATENCY.observe(micros, *self._labels)
            status = "OK"
        else:
            status = _status(error)
        REQUESTS.add(self._labels[0], status)


def _status(error: object) -> str:
    if isinstance(error, StatusError):
        return error.code.name
    # The caller has gone, or its deadline has passed.
    return "CANCELLED" if isinstance(error, asyncio.CancelledError) else "INTERNAL"

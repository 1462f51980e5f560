"""Sizes of the batches that requests are joined to, while a server is under load."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np

from serving.client import PREDICT
from serving.client import wire_pb2 as wire
from serving.client.channel import connect

BATCH_ROWS = "batch_rows"
"""Output of the counting export: the rows that the model got at once."""

_PAUSE_SECONDS = 0.03


def seen(target: str, payloads: Path, load: Callable[[], object]) -> dict[int, int]:
    """Number of samples by size; a few requests a second are asked beside the load.

    Args:
        target: HOST:PORT of a server of the counting export.
        payloads: folder of requests.
        load: offers the load, and returns after it.
    """
    requests = [_request(file) for file in sorted(payloads.iterdir())]
    sizes: collections.Counter[int] = collections.Counter()
    with connect(target, None) as channel, futures.ThreadPoolExecutor(1) as pool:
        call = channel.unary_unary(PREDICT)
        running, number = pool.submit(load), 0
        while not running.done():
            answer = call(requests[number % len(requests)], timeout=10)
            outputs = wire.PredictResponse.FromString(answer).outputs
            sizes[outputs[BATCH_ROWS].int_val[0]] += 1
            number += 1
            time.sleep(_PAUSE_SECONDS)
        running.result()
    return dict(sorted(sizes.items()))


def _request(file: Path) -> bytes:
    request = wire.PredictRequest.FromString(file.read_bytes())
    request.output_filter.append(BATCH_ROWS)
    return bytes(request.SerializeToString())


def in_process_cpu_ms(
    sizes: Mapping[int, int], in_process: Sequence[Mapping[str, Any]]
) -> float:
    """Processor time of a row in process, had its batches the sizes that were seen.

    Args:
        sizes: number of requests by the size of their batches.
        in_process: `cpu_ms` of a row by `batch`, rising; straight lines in between.
    """
    batches = [entry["batch"] for entry in in_process]
    times = [entry["cpu_ms"] for entry in in_process]
    at = np.interp(list(sizes), batches, times)
    return float(np.average(at, weights=list(sizes.values())))

"""The process in which an export is called without a server, in batches.

Its batches ask what the servers are asked.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import child
from benchmarks.requests import OUTPUTS, SIGNATURE, questions

_INPUTS = ("history", "k", "exclude")
_EXCLUDE_WIDTH = 4


def make_handlers() -> dict[str, child.Handler]:
    """Loads the export whose folder is the first argument."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    meta_graph = tf.compat.v1.saved_model.loader.load(
        session, [tf.saved_model.SERVING], sys.argv[1]
    )
    signature = meta_graph.signature_def[SIGNATURE]
    find = session.graph.get_tensor_by_name
    with session.graph.as_default():
        answer = session.make_callable(
            [find(signature.outputs[name].name) for name in OUTPUTS],
            [find(signature.inputs[name].name) for name in _INPUTS],
        )

    def measure(num_items: int, batch: int, seconds: float) -> dict[str, Any]:
        feeds = _feeds(num_items, batch)
        answer(*feeds)
        taken: list[float] = []
        cpu = time.process_time()
        while sum(taken) < seconds or len(taken) < 3:
            start = time.perf_counter()
            answer(*feeds)
            taken.append(time.perf_counter() - start)
        rows = batch * len(taken)
        return {
            "batch": batch,
            "rows_per_second": batch / float(np.median(taken)),
            "cpu_ms": 1e3 * (time.process_time() - cpu) / rows,
        }

    return {"measure": measure}


def _feeds(num_items: int, batch: int) -> list[np.ndarray]:
    asked = questions(num_items, batch)
    exclude = [
        question.exclude + [""] * (_EXCLUDE_WIDTH - len(question.exclude))
        for question in asked
    ]
    return [
        np.array([question.history for question in asked], object),
        np.array([question.k for question in asked], np.int32),
        np.array(exclude, object),
    ]


if __name__ == "__main__":
    assert Path(sys.argv[1]).is_dir()
    child.serve(make_handlers)

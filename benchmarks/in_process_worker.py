"""The process in which an export is called without a server, in batches."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import child
from benchmarks.requests import histories

_OUTPUTS = ("item_ids", "scores", "is_fallback")


def make_handlers() -> dict[str, child.Handler]:
    """Loads the export whose folder is the first argument."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    meta_graph = tf.compat.v1.saved_model.loader.load(
        session, [tf.saved_model.SERVING], sys.argv[1]
    )
    signature = meta_graph.signature_def["serving_default"]
    find = session.graph.get_tensor_by_name
    with session.graph.as_default():
        answer = session.make_callable(
            [find(signature.outputs[name].name) for name in _OUTPUTS],
            [find(signature.inputs["history"].name)],
        )

    def measure(num_items: int, batch: int, seconds: float) -> dict[str, Any]:
        rows = np.array(histories(num_items, batch), object)
        answer(rows)
        taken: list[float] = []
        while sum(taken) < seconds or len(taken) < 3:
            start = time.perf_counter()
            answer(rows)
            taken.append(time.perf_counter() - start)
        return {"batch": batch, "rows_per_second": batch / float(np.median(taken))}

    return {"measure": measure}


if __name__ == "__main__":
    assert Path(sys.argv[1]).is_dir()
    child.serve(make_handlers)

"""The process in which one index is built, timed and compared with the truth."""

from __future__ import annotations

import argparse
import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import child
from benchmarks.process_memory import peak_bytes, resident_bytes
from s4rec_tf.retrieval import exclusions
from s4rec_tf.retrieval.index import Index, build_index
from s4rec_tf.retrieval.kinds import IndexKind

K = 20
EXCLUDED = 50
_BATCH = 32
_MIN_CALLS = 5
_MIB = 2**20


class Worker:
    """One index over vectors from a folder.

    Args:
        folder: holds `items.npy`, `users.npy`, `best.npy`, see `item_space`.
        kind: of the index.
    """

    def __init__(self, folder: Path, kind: IndexKind) -> None:
        self._users = np.load(folder / "users.npy")
        self._best = np.load(folder / "best.npy")
        before = resident_bytes()
        start = time.perf_counter()
        self._index = _build(folder / "items.npy", kind)
        self.build_seconds = time.perf_counter() - start
        self._top = tf.function(
            self._answer,
            input_signature=[
                tf.TensorSpec([None, self._users.shape[1]]),
                tf.TensorSpec([None, None], tf.int32),
            ],
        )
        # Some kinds make what they search with at the first query.
        self._ask(self._users[:_BATCH])
        _give_back()
        self.memory = resident_bytes() - before

    def measure(self, seconds: float) -> dict[str, Any]:
        """Recall, and how long queries take, for about `seconds` each way."""
        nobody = np.zeros([len(self._users), 0], np.int32)
        seen = self._best[:, :EXCLUDED]
        ones = _times(self._users, 1, seconds, self._ask)
        batches = _times(self._users, _BATCH, seconds, self._ask)
        return {
            "recall_at_20": self._recall(nobody, self._best[:, :K]),
            "recall_at_20_excluding_50": self._recall(
                seen, self._best[:, EXCLUDED : EXCLUDED + K]
            ),
            "p50_ms": round(1e3 * float(np.percentile(ones, 50)), 3),
            "p99_ms": round(1e3 * float(np.percentile(ones, 99)), 3),
            "users_per_second": round(_BATCH / float(np.median(batches)), 1),
            "memory_mib": round(self.memory / _MIB),
            "build_peak_mib": round(peak_bytes() / _MIB),
            "build_seconds": round(self.build_seconds, 1),
        }

    def _answer(self, users: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
        """As the export answers: over-fetch, then drop what is excluded."""
        width = exclusions.candidates_needed(excluded, K, self._index.num_items)
        scores, item_ids = self._index.top(users, width)
        return exclusions.drop_excluded(scores, item_ids, excluded, K)[1]

    def _ask(self, users: np.ndarray) -> None:
        self._top(users, np.zeros([len(users), 1], np.int32))

    def _recall(self, seen: np.ndarray, expected: np.ndarray) -> float:
        shares = []
        for start in range(0, len(self._users), _BATCH):
            part = slice(start, start + _BATCH)
            found = self._top(self._users[part], seen[part] + 1).numpy() - 1
            for own, best in zip(found, expected[part], strict=True):
                shares.append(len(np.intersect1d(own, best)) / K)
        return round(float(np.mean(shares)), 4)


def _build(path: Path, kind: IndexKind) -> Index:
    index = build_index(np.load(path), kind=kind)
    _give_back()
    return index


def _give_back() -> None:
    """Returns freed memory to the system, so that what is resident is in use."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _times(
    users: np.ndarray, rows: int, seconds: float, ask: Callable[[np.ndarray], None]
) -> list[float]:
    """Seconds of queries of so many rows, one after another; at least five."""
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < _MIN_CALLS:
        first = rows * len(taken) % (len(users) - rows + 1)
        start = time.perf_counter()
        ask(users[first : first + rows])
        taken.append(time.perf_counter() - start)
    return taken


def main(argv: Sequence[str] | None = None) -> None:
    """Serves the measurements."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--index", required=True)
    parser.add_argument("--table_dtype", required=True)
    args = parser.parse_args(argv)
    kind = IndexKind(args.index, args.table_dtype)
    child.serve(lambda: {"measure": Worker(args.folder, kind).measure})


if __name__ == "__main__":
    main()

"""Counts of requests and answers: unknown items, lengths of histories, best scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from s4rec_tf import spec
from serving import metrics

Arrays = Mapping[str, np.ndarray]


class Watch:
    """Counts the rows of requests for the best items after a history.

    `user` of a row is "below_core" if the version knows fewer of its items than the
    training data has of each user. `tenth` of a best score is that of the validation
    users' best scores, so that each holds a tenth as long as nothing changes.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], model_name: str):
        names = (model_name, path.name)
        items = (path / spec.SERVED_ITEMS).read_bytes().split(b"\n")
        self._items, self._core = frozenset(items), manifest["k_core"]
        self._deciles = manifest["best_score_deciles"]
        self._lengths = metrics.HISTORY_LENGTH.labels(*names)
        self._known = metrics.HISTORY_ITEMS.labels(*names, "known")
        self._unknown = metrics.HISTORY_ITEMS.labels(*names, "unknown")
        self._rows = {
            (user, answer): metrics.ROWS.labels(*names, user, answer)
            for user in ("core", "below_core")
            for answer in ("model", "fallback")
        }
        self._tenths = [metrics.BEST_SCORES.labels(*names, str(n)) for n in range(10)]

    def observe(self, inputs: Arrays, outputs: Arrays) -> None:
        """Counts a request; of the outputs those that there are."""
        is_fallback = outputs.get("is_fallback", np.zeros(()))
        for row, history in enumerate(inputs["history"].tolist()):
            items = [item for item in history if item]
            known = sum(item in self._items for item in items)
            self._lengths.observe(len(items))
            self._known.inc(known)
            self._unknown.inc(len(items) - known)
            if is_fallback.ndim:
                user = "below_core" if known < self._core else "core"
                answer = "fallback" if is_fallback[row] else "model"
                self._rows[user, answer].inc()
        if is_fallback.ndim and self._deciles and "scores" in outputs:
            self._observe_scores(outputs["scores"][~is_fallback][:, :1])

    def _observe_scores(self, best: np.ndarray) -> None:
        has_item = best > np.finfo(np.float32).min
        for tenth in np.digitize(best[has_item], self._deciles):
            self._tenths[tenth].inc()


def is_watched(signature: SignatureDef) -> bool:
    """Whether a signature answers the best items, of all, after a history."""
    inputs, outputs = set(signature.inputs), set(signature.outputs)
    return "history" in inputs and "allow" not in inputs and "scores" in outputs


def watch_of(path: Path, manifest: Mapping[str, Any], model_name: str) -> Watch | None:
    """A watch of an export; None of other models, and of exports from before."""
    is_known = "best_score_deciles" in manifest and (path / spec.SERVED_ITEMS).is_file()
    return Watch(path, manifest, model_name) if is_known else None

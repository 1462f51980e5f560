"""End of an epoch: validation, best checkpoint, early stop, state to resume from."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.weighted_terms import MAIN_STAGE
from s4rec_tf.ranking import encoding, full_ranking, metrics
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import RunDir
from s4rec_tf.train import resumption
from s4rec_tf.train.optimizers import averaged_weights
from s4rec_tf.train.resumption import Progress

SELECTION_METRIC = "NDCG@20"

Ranker = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The rank of every target, int [N], of user vectors [N, d] and item vectors [V, d]."""


class EpochEnd:
    """Validates, keeps the best weights, and leaves a state to resume from.

    Args:
        model: the model that trains.
        run: its folder.
        sequences: the valid split.
        progress: of the run; updated in place.
        rank: gives the rank of every target, int [N], of user vectors [N, d] and item
            vectors [V, d]; `full_ranking.full_ranks` if None.
    """

    def __init__(
        self,
        model: SequenceRecommender,
        run: RunDir,
        sequences: Sequences,
        progress: Progress,
        rank: Ranker | None = None,
    ) -> None:
        self.model, self.run, self.progress = model, run, progress
        self.sequences = sequences
        self.rank = rank or self._full_ranks

    def __call__(self, logs: dict[str, Any], validation: dict[str, float]) -> None:
        """Closes an epoch.

        Args:
            logs: training losses of the epoch, and its seconds.
            validation: of the epoch, by `validate`.
        """
        progress = self.progress
        progress.epochs_done += 1
        value = validation.get(f"val_{SELECTION_METRIC}", -1.0)
        if value > progress.best_value:
            progress.best_value, progress.best_epoch = value, progress.epochs_done
            with averaged_weights(self.model):
                checkpoints.write_checkpoint(
                    self.run.best, self.model.weights, dataclasses.asdict(progress)
                )
        self._log({**logs, **validation})
        resumption.write_last(self.run, self.model, progress)

    def validate(self) -> dict[str, float]:
        """Ranks the valid split; changes nothing.

        Returns:
            metrics and diagnostics, names beginning with "val_"; nothing in
            pretraining.
        """
        if self.model.stage != MAIN_STAGE:
            return {}
        users = encoding.encode_users(self.model, self.sequences)
        items = keras.ops.convert_to_numpy(self.model.item_vectors())
        ranks = self.rank(users, items)
        is_head = self.sequences.is_head
        found = {
            "val_NDCG@20": metrics.ndcg(ranks, 20),
            "val_HR@20": metrics.hit_rate(ranks, 20),
            "val_NDCG@5": metrics.ndcg(ranks, 5),
            "val_HR@5": metrics.hit_rate(ranks, 5),
        }
        for name, group in (("head", is_head), ("tail", ~is_head)):
            if np.any(group):
                found[f"val_{name}_NDCG@20"] = metrics.ndcg(ranks[group], 20)
        embeddings = users
        if not self.model.embeds_with_user_vectors:
            embeddings = encoding.embed_users(self.model, self.sequences)
        diagnostics = self.model.diagnostics(embeddings, is_head)
        found.update({f"val_{name}": value for name, value in diagnostics.items()})
        return found

    def _full_ranks(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        scorer = encoding.pair_scorer(self.model)
        ranked = full_ranking.full_ranks(
            users, items, self.sequences, pair_scores=scorer
        )
        return ranked.ranks

    def _log(self, entry: dict[str, Any]) -> None:
        line: dict[str, float] = {"epoch": self.progress.epochs_done}
        line.update({name: round(float(value), 6) for name, value in entry.items()})
        with self.run.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

"""Evaluation of a run, as it is in service, on a dataset that goes on from its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.evaluate.evaluation import LIST_LENGTH, Evaluation
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.registry import model_class
from s4rec_tf.ranking import encoding, full_ranking
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import VOCABULARY, RunDir, RunError


def restore_earlier(run_dir: Path, dataset: spec.DatasetDir) -> SequenceRecommender:
    """Restores the best model of a run that was trained on an earlier dataset.

    Args:
        run_dir: the run folder.
        dataset: whose first items must be those of the run, in their order.

    Returns:
        the model, with the items and users that the run knew.

    Raises:
        RunError: if the folder is no run, or its items are others.
        checkpoints.CheckpointError: if the run has no whole checkpoint.
    """
    run = RunDir(run_dir)
    config, known = run.read_config(), run.read_manifest().get(VOCABULARY)
    if known is None:
        raise RunError(f"{run_dir} has no digest of its items in its manifest")
    if dataset.vocabulary_digest(known["num_items"]) != known["sha256"]:
        raise RunError(
            f"{run_dir} has {known['num_items']} items, which must be the first items "
            f"of {dataset.root}, in their order (make it with `--previous`)"
        )
    sizes = known["num_items"], known.get("num_users", 0)
    model = model_class(config.model).of_sizes(config.model_settings, *sizes)
    checkpoints.read_checkpoint(run.best, model.weights)
    return model


def evaluate_earlier(model: SequenceRecommender, sequences: Sequences) -> Evaluation:
    """Ranks the items of a model, for users of a later dataset.

    As in service: unknown items drop out of histories, a user whose history is unknown
    is answered by popularity, and an unknown target has the rank after all known items.

    Args:
        model: as trained, V items.
        sequences: a split with targets, N users; item ids above V are unknown.
    """
    vectors = np.asarray(model.item_vectors())
    num_items = len(vectors)
    is_known = sequences.target_ids <= num_items
    seen = _known_part(sequences, num_items)
    users = encoding.encode_users(model, seen)
    ranked = full_ranking.full_ranks(
        *(users, vectors, seen, LIST_LENGTH),
        pair_scores=encoding.pair_scorer(model),
    )
    by_count = _ranks_by_count(np.asarray(model.item_counts), seen)

    def as_served(ranks: np.ndarray) -> np.ndarray:
        answered = np.where(seen.lengths > 0, ranks, by_count)
        return np.where(is_known, answered, num_items + 1)

    ranks = as_served(ranked.ranks)
    unfiltered = as_served(ranked.unfiltered_ranks)
    found = full_ranking.ranking_metrics(ranks, unfiltered, sequences)
    return Evaluation(found, ranks, ranked.top_ids)


def _known_part(sequences: Sequences, num_items: int) -> Sequences:
    """The sequences without unknown items; any known item stands for such targets."""
    kept = sequences.values <= num_items
    before = np.concatenate([[0], np.cumsum(kept)])
    targets = sequences.target_ids
    return dataclasses.replace(
        sequences,
        values=sequences.values[kept],
        offsets=before[sequences.offsets],
        target_ids=np.where(targets <= num_items, targets, 1).astype(np.int32),
    )


def _ranks_by_count(counts: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Ranks of the targets by popularity, ties against them, int64 [N]."""
    lower = np.searchsorted(np.sort(counts), counts, side="left")
    return (len(counts) - lower)[sequences.target_ids - 1]

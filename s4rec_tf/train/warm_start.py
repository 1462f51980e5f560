"""Warm start from another run's best weights, also for a grown vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf import spec
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.registry import model_class
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import VOCABULARY, RunDir, RunError


def source_digest(source: Path) -> str:
    """Digest of the weights that a run starts from.

    Raises:
        RunError: if the folder has no best checkpoint.
    """
    best = RunDir(source).best
    if not best.is_file():
        raise RunError(f"`--warm_start` {source} has no checkpoint {best.name} yet")
    return spec.sha256_of_file(best)


def start_from(
    model: SequenceRecommender, source: Path, dataset: spec.DatasetDir
) -> None:
    """Copies a run's best weights into a new model.

    Rows of items and users that the run did not have keep their initial values, and so
    do the model's item counts.

    Args:
        model: of the new run.
        source: run folder of a model with the same settings.
        dataset: of the new run; its first items must be the source's, in their order.

    Raises:
        RunError: if the models or the vocabularies do not fit.
        checkpoints.CheckpointError: if the source's checkpoint is damaged.
    """
    run = RunDir(source)
    config = run.read_config()
    known = run.read_manifest().get(VOCABULARY)
    if known is None:
        raise RunError(
            f"`--warm_start` {source} has no digest of its items in its manifest"
        )
    if dataset.vocabulary_digest(known["num_items"]) != known["sha256"]:
        raise RunError(
            f"`--warm_start` {source} has {known['num_items']} items, which must be "
            f"the first items of {dataset.root}, in their order (make it with "
            "`--previous` or `--item_ids_from`)"
        )
    if model_class(config.model) is not type(model):
        raise RunError(
            f"`--warm_start` {source} holds another model: {config.model}. "
            f"Asked for: {type(model).__name__}"
        )
    # Runs from before there were user embeddings hold no number of users.
    sizes = known["num_items"], known.get("num_users", 0)
    before = type(model).of_sizes(config.model_settings, *sizes)
    checkpoints.read_checkpoint(run.best, before.weights)
    done = {
        id(weight)
        for weight in (model.item_counts, *model.copy_user_embeddings(before))
    }
    for weight, old in zip(model.weights, before.weights, strict=True):
        if id(weight) not in done:
            weight.assign(_grown(weight, old, source))


def _grown(weight: Any, old: Any, source: Path) -> np.ndarray:
    """The old values, and below them the new weight's rows that the old one lacks."""
    grown, values = np.array(weight), np.asarray(old)
    fits = grown.shape[1:] == values.shape[1:] and len(grown.shape) == len(values.shape)
    if not fits or len(np.atleast_1d(grown)) < len(np.atleast_1d(values)):
        raise RunError(
            f"`--warm_start` {source}: {weight.path} has shape {values.shape} there. "
            f"Asked for: {grown.shape}"
        )
    if not grown.shape:
        return values
    grown[: len(values)] = values
    return grown

"""Gradients of the loss terms on the weights that the next-item loss trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from s4rec_tf.data import stream
from s4rec_tf.data.samples import suitable_batch_size, training_samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs.config import ExperimentConfig


def gradient_findings(
    model: SequenceRecommender, config: ExperimentConfig, train: Sequences
) -> dict[str, float]:
    """Weighted gradients of the loss terms on the weights that L_SR trains.

    Args:
        model: as trained.
        config: of the run.
        train: the train split, of which one batch is taken.

    Returns:
        `gradient_TERM`, the Euclidean norm over all these weights, and
        `cosine_TERM`, that of the angle with the next-item loss's gradient.
    """
    keras.utils.set_random_seed(config.train.seed)
    batch = _first_batch(model, config, train)
    weights = model.scheduled_weights()
    with tf.GradientTape(persistent=True) as tape:
        terms = model.loss_terms(batch, model(batch, training=True))
        weighted = {name: weights[name] * value for name, value in terms.items()}
    variables = model.trainable_weights
    base = tape.gradient(weighted["next_item"], variables)
    shared = [v for v, g in zip(variables, base, strict=True) if g is not None]
    flat = {}
    for name, value in weighted.items():
        parts = tape.gradient(value, shared, unconnected_gradients="zero")
        flat[name] = np.concatenate([tf.reshape(part, [-1]).numpy() for part in parts])
    norms = {name: float(np.linalg.norm(g)) for name, g in flat.items()}
    findings = {f"gradient_{name}": norm for name, norm in norms.items()}
    for name, norm in norms.items():
        product = float(flat[name] @ flat["next_item"])
        findings[f"cosine_{name}"] = product / max(norm * norms["next_item"], 1e-30)
    return findings


def _first_batch(
    model: SequenceRecommender, config: ExperimentConfig, train: Sequences
) -> dict[str, Any]:
    samples = training_samples(train, config.data.samples, model.max_length)
    size = config.train.batch_size or suitable_batch_size(len(samples))
    made = stream.training_batches(
        train,
        samples,
        model.batch_spec(),
        config.data,
        model.num_items,
        size,
        config.train.seed,
    )
    return dict(next(iter(made)))

"""A model as a training begins with it: seeded, prepared, with its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING

import keras
import numpy as np

from s4rec_tf import spec
from s4rec_tf.data.corruption import replace_items
from s4rec_tf.data.samples import Samples, global_batch_size, training_samples
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs.config import ExperimentConfig, TrainSettings
from s4rec_tf.runs.restore import build_model
from s4rec_tf.train.optimizers import make_optimizer

if TYPE_CHECKING:
    from s4rec_tf.data.streamed import StreamedSamples


def training_sequences(
    config: ExperimentConfig, train: Sequences, num_items: int
) -> Sequences:
    """The train split as a run learns from it.

    Args:
        config: of the run.
        train: the split as it is.
        num_items: V.
    """
    return replace_items(
        train, config.data.replaced_share, num_items, config.train.seed
    )


@contextlib.contextmanager
def _layers_of(precision: str) -> Iterator[None]:
    """Sets the precision in which new layers compute; weights stay float32."""
    before = keras.config.dtype_policy()
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_for_training(
    config: ExperimentConfig,
    info: spec.DatasetInfo,
    sequences: Sequences,
    num_replicas: int = 1,
    streamed: StreamedSamples | None = None,
) -> SequenceRecommender:
    """A new model, seeded, prepared and compiled, as a run begins with it.

    Args:
        config: of the run.
        info: facts of the dataset.
        sequences: the train split; only some of its users, if it is streamed.
        num_replicas: that share a global batch.
        streamed: samples of a split that stays on disk.
    """
    settings = config.train
    keras.utils.set_random_seed(settings.seed)
    with _layers_of(settings.precision):
        model = build_model(config, info)
    counts = np.bincount(sequences.values, minlength=info.num_items + 1)[1:]
    model.prepare(streamed.item_counts if streamed else counts)
    model.register_users(sequences.user_ids)
    num_steps = 0
    if settings.schedule == "cosine" and model.trainable_variables:
        samples = streamed or samples_of(config, sequences)
        batch_size = batch_size_of(config, samples, num_replicas)
        num_steps = settings.epochs * (len(samples) // batch_size)
    compile_model(model, settings, num_steps)
    return model


def compile_model(
    model: SequenceRecommender, settings: TrainSettings, num_steps: int
) -> None:
    """Compiles a model with a new optimizer.

    Args:
        model: the model.
        settings: of the training.
        num_steps: optimizer steps of its schedule, if it follows one.
    """
    if not model.trainable_variables:
        num_steps = 0
    optimizer = make_optimizer(settings, num_steps)
    optimizer.build(model.trainable_variables)
    model.use_sparse_gradients(settings.optimizer == "lazy_adam")
    model.compile(optimizer=optimizer, jit_compile=False)


def samples_of(config: ExperimentConfig, sequences: Sequences) -> Samples:
    """The samples of a split in memory."""
    max_length = config.model_settings.max_length
    return training_samples(sequences, config.data.samples, max_length)


def batch_size_of(config: ExperimentConfig, samples: Sized, num_replicas: int) -> int:
    """The global batch of a run with these samples."""
    return global_batch_size(config.train.batch_size, len(samples), num_replicas)

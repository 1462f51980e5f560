"""Optimizers as settings describe them, by Keras' own options where it has them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from s4rec_tf import backend
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.runs.config import ConfigError, TrainSettings


def make_optimizer(settings: TrainSettings, num_steps: int) -> Any:
    """A new optimizer, not yet built.

    Args:
        settings: of the training.
        num_steps: training steps of its schedule, if it follows one to an end.

    Raises:
        ConfigError: if the backend lacks it.
    """
    optimizer = _class_of(settings.optimizer)(
        learning_rate=learning_rate(settings, num_steps),
        global_clipnorm=settings.clip_norm or None,
        use_ema=settings.ema_decay > 0,
        ema_momentum=settings.ema_decay,
        gradient_accumulation_steps=(
            settings.accumulation_steps if settings.accumulation_steps > 1 else None
        ),
    )
    if settings.weight_decay:
        add_weight_decay(optimizer, settings.weight_decay)
    return optimizer


def _class_of(name: str) -> Any:
    if name == "sgd":
        return keras.optimizers.SGD
    if name == "lazy_adam":
        if not backend.IS_TENSORFLOW:
            raise ConfigError(
                "`optimizer` must not be lazy_adam on a backend other than TensorFlow, "
                f"where no gradient lists rows. Received: {keras.backend.backend()}"
            )
        from s4rec_tf.train.tensorflow.lazy_adam import LazyAdam

        return LazyAdam
    if backend.IS_TENSORFLOW:
        from s4rec_tf.train.tensorflow.fused_adam import FusedAdam

        return FusedAdam
    return keras.optimizers.Adam


def learning_rate(settings: TrainSettings, num_steps: int) -> Any:
    """The rate, or its schedule over training steps."""
    schedules, rate = keras.optimizers.schedules, settings.learning_rate
    if settings.schedule == "cosine" and num_steps:
        warmup_steps = settings.warmup_steps or max(num_steps // 20, 1)
        return schedules.CosineDecay(
            0.0,
            max(num_steps - warmup_steps, 1),
            warmup_target=rate,
            warmup_steps=warmup_steps,
        )
    if settings.warmup_steps:
        return schedules.PolynomialDecay(0.0, settings.warmup_steps, rate)
    return rate


def add_weight_decay(optimizer: Any, weight_decay: float) -> None:
    """Adds `weight_decay` times the weight to every gradient of an optimizer."""
    update_step = optimizer.update_step

    def update_decayed(gradient: Any, variable: Any, learning_rate: Any) -> None:
        decay = weight_decay * keras.ops.convert_to_tensor(variable)
        update_step(gradient + decay, variable, learning_rate)

    optimizer.update_step = update_decayed


@contextlib.contextmanager
def averaged_weights(model: SequenceRecommender) -> Iterator[None]:
    """A block in which weights are their moving averages, if the optimizer has any."""
    variables, optimizer = model.trainable_variables, model.optimizer
    if not (variables and optimizer.use_ema):
        yield
        return
    trained = [np.array(variable) for variable in variables]
    try:
        optimizer.finalize_variable_values(variables)
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)

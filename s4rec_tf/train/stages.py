"""Trainings in stages: which epochs belong to which, and how one begins.

A model with a single stage, as most have, is left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.models.weighted_terms import MAIN_STAGE
from s4rec_tf.runs.config import TrainSettings
from s4rec_tf.train.setup import compile_model


@dataclasses.dataclass(frozen=True)
class Stage:
    """Epochs `first` to `last` (excluded) of a training, counted from 0."""

    name: str
    first: int
    last: int


def stages_of(model: SequenceRecommender, epochs: int) -> list[Stage]:
    """The stages of a training, in their order; those without epochs are left out.

    Args:
        model: gives the epochs of its pretraining stages.
        epochs: of the last stage.
    """
    lengths = {**model.pretraining_stages(), MAIN_STAGE: epochs}
    ends = list(itertools.accumulate(lengths.values()))
    found = map(Stage, lengths, [0, *ends], ends)
    return [stage for stage in found if stage.first < stage.last]


def begin_stages(
    model: SequenceRecommender,
    settings: TrainSettings,
    steps: int,
    first: int,
    last: int | None = None,
    scope: Callable[[], Any] = contextlib.nullcontext,
    is_within: bool = False,
) -> Iterator[tuple[int, int]]:
    """Begins stage after stage, each when the one before is trained.

    Args:
        model: compiled; its optimizer is in the state that epoch `first` begins with.
        settings: of the training.
        steps: of an epoch.
        first: the first epoch to be trained.
        last: the last one (excluded); that of the training if None.
        scope: context in which an optimizer is made.
        is_within: whether steps of epoch `first` are already trained.

    Yields:
        the first and last epoch (excluded) to be trained in the stage.
    """
    for stage in stages_of(model, settings.epochs):
        start = max(first, stage.first)
        end = stage.last if last is None else min(last, stage.last)
        if start < end:
            if model.pretraining_stages():
                goes_on = start > stage.first or (is_within and start == first)
                with scope():
                    _begin(model, stage, settings, steps, goes_on)
            yield start, end


def _begin(
    model: SequenceRecommender,
    stage: Stage,
    settings: TrainSettings,
    steps: int,
    goes_on: bool,
) -> None:
    before = [np.array(variable) for variable in model.optimizer.variables]
    model.begin_stage(stage.name)
    compile_model(model, settings, (stage.last - stage.first) * steps)
    if goes_on:
        for variable, value in zip(model.optimizer.variables, before, strict=True):
            variable.assign(value)
    print(f"stage {stage.name}: epochs {stage.first + 1} to {stage.last}", flush=True)

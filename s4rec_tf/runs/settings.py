"""Settings of samples and of training, whatever the model."""

from __future__ import annotations

import dataclasses
from typing import Literal

from s4rec_tf.data.augment import AugmentationSettings
from s4rec_tf.data.samples import SampleKind
from s4rec_tf.search_ranges import numbers


@dataclasses.dataclass(frozen=True)
class DataSettings(AugmentationSettings):
    """Settings of samples and views.

    Attributes:
        samples: "prefix": every prefix is a sample, its target the next item;
            "sequence": a user is a sample, with a target at every position of the last
            L; "window": so is every further L of a user's positions before those;
            "auto": prefixes if users have no more than 50 actions on average, otherwise
            windows.
        replaced_share: share of the train split's items that are replaced by random
            ones before training, for a test of robustness.
    """

    samples: SampleKind = "auto"
    replaced_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.replaced_share <= 1:
            raise ValueError(
                f"`replaced_share` must lie in [0, 1]. Received: {self.replaced_share}"
            )


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Settings of training.

    Attributes:
        seed: of the initial weights, the order of samples, views and dropout.
        epochs: passes over the samples, at most.
        patience: epochs without a better validation NDCG@20 before training stops.
        batch_size: B, the global batch; 0 is 256, lowered on small data so that an
            epoch has at least 50 steps.
        learning_rate: of the optimizer; the highest one, if it follows a schedule.
        schedule: constant; or cosine: up from 0 over the first twentieth of the steps
            of `epochs`, then down to 0 along half a cosine wave.
        weight_decay: L2 added to every gradient before the optimizer sees it, weight
            by weight, as PyTorch's Adam has it.
        optimizer: its name. lazy_adam is for tables of very many rows and a loss that
            uses few of them (any but the full softmax): it updates those alone.
        precision: what layers compute in while training, and the products of the full
            softmax in SASRec and its kin. bfloat16 is for GPUs, and processors with
            instructions for it (amx_bf16); weights, other losses and whatever is
            evaluated or exported stay float32.
    """

    seed: int = 42
    epochs: int = 60
    patience: int = 10
    batch_size: int = 0
    learning_rate: float = numbers(1e-3, low=1e-4, high=1e-2, log=True)
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.0
    optimizer: Literal["adam", "lazy_adam", "sgd"] = "adam"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        for name in ("epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` must lie in [0, 2^31). Received: {self.seed}")
        if self.batch_size < 0 or self.learning_rate <= 0:
            raise ValueError(
                "`batch_size` must not be negative and `learning_rate` must be "
                f"positive. Received: {self.batch_size}, {self.learning_rate}"
            )
        if self.weight_decay < 0 or (
            self.weight_decay and self.optimizer == "lazy_adam"
        ):
            raise ValueError(
                "`weight_decay` must not be negative, nor above 0 for lazy_adam. "
                f"Received: {self.weight_decay}, {self.optimizer!r}"
            )

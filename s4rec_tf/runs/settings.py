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
        warmup_steps: training steps over which the rate rises from 0, linearly; 0 is
            none, or a twentieth of all with cosine.
        weight_decay: L2 added to every gradient before the optimizer sees it, weight
            by weight, as PyTorch's Adam has it.
        clip_norm: greatest length of all gradients taken together, beyond which they
            are scaled down, before weight decay; 0 leaves them.
        accumulation_steps: training steps whose mean gradient is one update. More than
            1 is for one device.
        ema_decay: the weights that are validated, kept and exported are a moving
            average, of which a training step leaves this share; 0 takes the last ones.
        optimizer: its name. lazy_adam is for tables of very many rows and a loss that
            uses few of them (any but the full softmax): it updates those alone.
        precision: what layers compute in while training, and the products of the full
            softmax in SASRec and its kin. bfloat16 is for GPUs, and processors with
            instructions for it (amx_bf16); weights, other losses and whatever is
            evaluated or exported stay float32.
        data: memory reads the dataset at once; streaming reads its shards anew every
            epoch; auto streams datasets of a hundred million actions or more.
    """

    seed: int = 42
    epochs: int = 60
    patience: int = 10
    batch_size: int = 0
    learning_rate: float = numbers(1e-3, low=1e-4, high=1e-2, log=True)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    accumulation_steps: int = 1
    ema_decay: float = 0.0
    optimizer: Literal["adam", "lazy_adam", "sgd"] = "adam"
    precision: Literal["float32", "bfloat16"] = "float32"
    data: Literal["auto", "memory", "streaming"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "accumulation_steps"):
            self._check(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("warmup_steps", "clip_norm"):
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        self._check("ema_decay", 0 <= self.ema_decay < 1, "must lie in [0, 1)")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` must lie in [0, 2^31). Received: {self.seed}")
        if self.batch_size < 0 or self.learning_rate <= 0:
            raise ValueError(
                "`batch_size` must not be negative and `learning_rate` must be "
                f"positive. Received: {self.batch_size}, {self.learning_rate}"
            )
        lazy = self.optimizer == "lazy_adam"
        if self.weight_decay < 0 or (self.weight_decay and lazy):
            raise ValueError(
                "`weight_decay` must not be negative, nor above 0 for lazy_adam. "
                f"Received: {self.weight_decay}, {self.optimizer!r}"
            )
        if lazy and (self.clip_norm or self.accumulation_steps > 1 or self.ema_decay):
            raise ValueError(
                "`clip_norm` and `ema_decay` must be 0 and `accumulation_steps` 1 for "
                "lazy_adam, whose steps touch a batch's rows alone. "
                f"Received: {self.clip_norm}, {self.ema_decay}, "
                f"{self.accumulation_steps}"
            )

    def _check(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"`{name}` {rule}. Received: {getattr(self, name)}")

"""CoSeRec: contrastive self-supervised sequential recommendation, robustly augmented.

Liu et al., "Contrastive Self-supervised Sequential Recommendation with Robust
Augmentation", 2021, arXiv 2108.06479: CL4SRec, whose views may also hold items that go
with those of the sequence, inserted or in their place. Short sequences are neither
cropped nor reordered, which would leave little of them.

Not reproduced: the correlation by the model's own item vectors, which in the paper
takes turns with the memory-based one after some epochs: views are made apart from the
model, ahead of it. Nor the binary cross-entropy (see `cl4srec`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras

from s4rec_tf.data.batch_spec import BatchSpec
from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.cl4srec import CL4SRec, CL4SRecSettings
from s4rec_tf.search_ranges import numbers


@dataclasses.dataclass(frozen=True)
class CoSeRecSettings(CL4SRecSettings):
    """Settings of CoSeRec.

    Attributes:
        num_correlated: an inserted or substituted item is one of this many that are
            most correlated with the one beside it, or that it replaces.
    """

    num_correlated: int = numbers(1, low=1, high=5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_correlated < 1:
            raise ValueError(
                f"`num_correlated` must be at least 1. Received: {self.num_correlated}"
            )


@keras.saving.register_keras_serializable(package="s4rec_tf")
class CoSeRec(CL4SRec):
    """CL4SRec with informative augmentations: insert and substitute by correlation."""

    Settings: ClassVar[type[ModelSettings]] = CoSeRecSettings
    defaults: ClassVar[dict[str, Any]] = {
        "operators": ("crop", "mask", "reorder", "substitute", "insert"),
        "crop": "keep",
        "short_length": 4,
        "short_operators": ("mask", "substitute", "insert"),
    }

    def batch_spec(self) -> BatchSpec:
        """Two views of every row, made with correlated items."""
        return dataclasses.replace(
            super().batch_spec(), num_correlated=self.settings.num_correlated
        )

"""Positions and operations of a training row, on average over the data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmarks import flops
from s4rec_tf import spec
from s4rec_tf.data.samples import Samples
from s4rec_tf.runs.config import ExperimentConfig


@dataclasses.dataclass(frozen=True)
class Task:
    """The data and settings that a model is trained with.

    Attributes:
        config: of the training.
        samples: that are trained on.
        num_items: V.
        batch_size: rows of a step.
    """

    config: ExperimentConfig
    samples: Samples
    num_items: int
    batch_size: int

    def cost(self, drawn: list[dict[str, np.ndarray]]) -> dict[str, float]:
        """Costs of a row.

        Args:
            drawn: a few batches: their views tell how much cropping shortens.

        Returns:
            real positions of a row and its views (`tokens`), and operations of a
            training step a row, of the whole step (`flops`) and of scoring items
            (`loss_flops`).
        """
        settings: Any = self.config.model_settings
        last_only = self.samples.num_targets == 1 and settings.pooling == "last"
        all_lengths = [self._sample_lengths(), *_view_lengths(drawn)]
        forward = sum(
            flops.encoder(lengths, settings.dim, settings.num_layers, last_only).mean()
            for lengths in all_lengths
        )
        loss = self._loss_flops()
        return {
            "tokens": float(sum(lengths.mean() for lengths in all_lengths)),
            "flops": flops.BACKWARD_AND_FORWARD * (forward + loss),
            "loss_flops": flops.BACKWARD_AND_FORWARD * loss,
        }

    def counts(self, measured: dict[str, float]) -> dict[str, float]:
        """Adds rows and pairs to the steps that were measured."""
        rows = measured["steps"] * self.batch_size
        return {"rows": rows, "pairs": rows * self._pairs_a_row(), **measured}

    def _loss_flops(self) -> float:
        """Operations a row of scoring items and, in S4Rec, prototypes and views."""
        settings: Any = self.config.model_settings
        classes = {
            "softmax": self.num_items,
            "bce": 2,
        }.get(settings.loss, 1 + settings.num_negatives)
        loss = flops.logits(self._pairs_a_row(), classes, settings.dim)
        if self.config.model == "s4rec":
            views = 2 * self.batch_size + settings.num_intents
            contrasted = settings.num_intents + 2 * views
            loss += flops.logits(1, contrasted, settings.dim)
        return loss

    def _sample_lengths(self) -> np.ndarray:
        lengths = self.samples.ends - self.samples.starts
        return np.minimum(lengths, self.config.model_settings.max_length)

    def _pairs_a_row(self) -> float:
        last_only = self.samples.num_targets == 1
        return 1.0 if last_only else float(self._sample_lengths().mean())


def _view_lengths(drawn: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Real positions of every view in some batches."""
    names = [name for name in drawn[0] if name.startswith("view_")]
    return [
        np.concatenate([np.sum(batch[name] != spec.PAD_ID, axis=1) for batch in drawn])
        for name in names
    ]

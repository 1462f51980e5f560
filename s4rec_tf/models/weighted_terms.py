"""The loss of a model: a weighted sum of terms, each of them logged, stage by stage."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from s4rec_tf import backend

Tensor = Any
Batch = dict[str, Tensor]

MAIN_STAGE = "main"
"""The stage of training after which a model recommends; most have no other."""


class WeightedTerms(keras.Model):
    """A model whose loss is a weighted sum of the terms of its stage of training."""

    def start_terms(self) -> None:
        """Makes the metrics of every stage's terms; called by the constructor."""
        self._term_trackers: dict[str, keras.metrics.Mean] = {}
        for stage in (*self.pretraining_stages(), MAIN_STAGE):
            self.stage = stage
            for name in self._term_names():
                if name not in self._term_trackers:
                    self._term_trackers[name] = keras.metrics.Mean(name=name)

    def pretraining_stages(self) -> dict[str, int]:
        """Epochs of every stage of training before the last, in their order, by name.

        They are not validated. Each stage has an optimizer of its own; all stages train
        the same weights, those that no term of a stage uses staying as they are.
        """
        return {}

    def begin_stage(self, stage: str) -> None:
        """Begins a stage; `loss_terms` and `batch_spec` may differ by `stage`.

        Also called where a training resumes in mid-stage, so it must change no weight.
        """
        self.stage = stage

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras' metrics: of the terms, those of this stage alone."""
        others = set(self._term_trackers) - set(self._term_names())
        return [metric for metric in super().metrics if metric.name not in others]

    @property
    def term_means(self) -> dict[str, keras.metrics.Mean]:
        """The mean of every term since the epoch began, of all stages, by name."""
        return dict(self._term_trackers)

    def _term_names(self) -> list[str]:
        """Names of the logged metrics: every term, and every term times its weight."""
        suffixes = ("", "_weighted")
        return [
            f"{name}{suffix}" for name in self.loss_weights() for suffix in suffixes
        ]

    def loss_weights(self) -> dict[str, float]:
        """Weight of each term of the loss; empty if nothing is trained by gradient."""
        return {}

    def loss_terms(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Every term of the loss, unweighted: scalars, means over the local batch."""
        return {}

    def scheduled_weights(self) -> dict[str, Tensor]:
        """The weights at this training step, where they follow a schedule."""
        return self.loss_weights()

    def present_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Terms that not every training step has: 1 where this step does, else 0."""
        return {}

    def compute_loss(
        self,
        x: Batch | None = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Weighs and logs the terms; Keras' hook for losses of any form.

        Raises:
            ValueError: if the terms are not those that have a weight.
        """
        encoded = keras.tree.map_structure(_in_full_precision, y_pred)
        terms, weights = self.loss_terms(x or {}, encoded), self.scheduled_weights()
        present = self.present_terms(x or {})
        if set(terms) != set(weights):
            raise ValueError(
                "`loss_terms` and `loss_weights` must have the same names. "
                f"Received: {sorted(terms)} and {sorted(weights)}"
            )
        total = 0.0
        for name, value in terms.items():
            value, is_present = _in_full_precision(value), present.get(name)
            weighted = weights[name] * value
            if is_present is not None:
                weighted = is_present * weighted
            self._term_trackers[name].update_state(value, is_present)
            self._term_trackers[f"{name}_weighted"].update_state(weighted)
            total = total + weighted
        # Gradients are summed over replicas, and Keras scales only its own losses.
        return total / backend.num_replicas()


def _in_full_precision(value: Tensor) -> Tensor:
    """Casts a low-precision tensor to float32, in which losses are computed."""
    if not keras.ops.is_tensor(value):
        return value
    name = keras.backend.standardize_dtype(value.dtype)
    return ops.cast(value, "float32") if name in ("bfloat16", "float16") else value

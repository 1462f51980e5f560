"""Numbers of a training that went bad: what stops a run, and what it warns of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s4rec_tf.atomic_files import replaced, write_bytes
from s4rec_tf.data.sequences import Sequences
from s4rec_tf.models.base import SequenceRecommender
from s4rec_tf.ranking import encoding
from s4rec_tf.runs import checkpoints
from s4rec_tf.runs.run_dir import RunDir, RunError

_COLLAPSED_PERPLEXITY = 1.5
"""Prototypes in use below which nearly all users share one."""
_BEATEN_CLASSIFIER = 0.01
"""Cross-entropy of the head-tail classifier below which it is nearly always right."""
_MOST_INFLUENCE = {"float32": 1e-4, "bfloat16": 0.02}
"""Share of a vector's length that rounding stays below, by precision of the layers."""


class NoBatch(RunError):
    """An input pipeline that ended before the epoch did.

    Args:
        epoch: counted from 1.
        step: of the epoch, counted from 1.
    """

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(
            "the input pipeline must give a batch for every step. "
            f"Received: none for step {step} of epoch {epoch}"
        )


class Diverged(RunError):
    """A number that is not finite; the run cannot be trained any further.

    Args:
        names: loss terms or weights that are not finite.
        epoch: counted from 1.
        step: of the epoch, counted from 1.
        batch: what the step was trained on; empty if that is not known.
    """

    def __init__(
        self,
        names: list[str],
        epoch: int,
        step: int,
        batch: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(
            f"{', '.join(names)} must be finite. Received: NaN or Inf in step {step} "
            f"of epoch {epoch}. Lower `learning_rate`"
        )
        self.names, self.epoch, self.step = names, epoch, step
        self.batch = dict(batch or {})

    def write(self, folder: Path) -> None:
        """Writes `failure.json`, and the batch to `failure_batch.npz`.

        The message then says what the folder holds.

        Args:
            folder: the run folder.
        """
        place = {"names": self.names, "epoch": self.epoch, "step": self.step}
        text = json.dumps(place, indent=2, allow_nan=False) + "\n"
        write_bytes(folder / "failure.json", text.encode())
        if self.batch:
            with replaced(folder / "failure_batch.npz") as stream:
                np.savez_compressed(stream, **self.batch)
        self.args = (f"{self}. {_what_is_left(folder)}",)


def _what_is_left(run_dir: Path) -> str:
    """Describes the files that a diverged run leaves."""
    best = RunDir(run_dir).best
    if not best.is_file():
        return f"No epoch was validated before; see {run_dir}/failure.json"
    state = checkpoints.read_state(best)
    return (
        f"The weights of epoch {state['best_epoch']} stay the best ones (validation "
        f"NDCG@20 {state['best_value']:.4f}); see {run_dir}/failure.json"
    )


def bad_terms(terms: Mapping[str, float]) -> list[str]:
    """Names of the terms that are not finite, without that of their sum."""
    bad = [name for name, value in terms.items() if not np.isfinite(value)]
    return [name for name in bad if name != "loss"]


def bad_weights(model: SequenceRecommender) -> list[str]:
    """Paths of the weights that hold a number that is not finite."""
    return [w.path for w in model.weights if not np.all(np.isfinite(np.asarray(w)))]


def warnings(before: Mapping[str, Any], logs: Mapping[str, Any]) -> list[str]:
    """Warnings about an epoch's figures, one line each.

    Args:
        before: loss terms and validation of the epoch before, or nothing.
        logs: those of the epoch.
    """
    found = []
    perplexity = logs.get("val_prototype_perplexity")
    if perplexity is not None and perplexity < _COLLAPSED_PERPLEXITY:
        found.append(
            f"the prototypes have collapsed: perplexity {perplexity:.2f}, nearly all "
            "users share one"
        )
    adversarial = logs.get("adversarial")
    if adversarial is not None and adversarial < _BEATEN_CLASSIFIER:
        found.append(
            "the head-tail classifier is nearly always right (loss "
            f"{adversarial:.4f}): the encoder does not hide who is head"
        )
    terms = [name for name in logs if name.endswith("_weighted")]
    if before and terms and all(_is_close(before, logs, n) for n in terms):
        found.append(
            "no loss term has changed since the epoch before: the input pipeline gives "
            "the same batch, or nothing is trained"
        )
    return found


def padding_warnings(
    model: SequenceRecommender, sequences: Sequences, precision: str
) -> list[str]:
    """A warning if padding changes the vector of a user, or nothing.

    Args:
        model: in its last stage.
        sequences: the valid split.
        precision: in which layers compute.
    """
    influence = encoding.padding_influence(model, sequences)
    if not influence > _MOST_INFLUENCE[precision]:
        return []
    return [
        f"the encoder looks at padding: it moves a user's vector by {influence:.2%} of "
        "its length. Check the attention's mask"
    ]


def _is_close(before: Mapping[str, Any], logs: Mapping[str, Any], name: str) -> bool:
    """Whether a term is the same but for rounding; terms come and go by stage."""
    return name in before and bool(np.isclose(before[name], logs[name], 1e-6, 0))

"""Settings of SASRec, which the models built on it share."""

from __future__ import annotations

import dataclasses
from typing import Literal

from s4rec_tf.models.base import ModelSettings
from s4rec_tf.search_ranges import choices, numbers


@dataclasses.dataclass(frozen=True)
class SASRecSettings(ModelSettings):
    """Settings of SASRec.

    Attributes:
        dim: d, width of items and states.
        num_layers: attention blocks.
        num_heads: heads of each block.
        dropout: rate, on the embedding and every part's output.
        attention_dropout: rate on attention weights; -1 for that of `dropout`.
        encoder: attention alone; or beside a filter over the sequence (BSARec, AAAI
            2024).
        num_frequencies: low frequencies that the filter separates from the others, the
            constant counted.
        filter_share: share of the filter's output, the rest being attention's.
        causal_filter: whether the filter leaves out later items; if not, as in its
            paper, only the last position of a sample may have a target.
        mask_prob: share of the items of a training sequence, its last one apart,
            that are hidden at random; views are made of whole sequences.
        repeats_history: whether a training sequence is repeated into its padding, a
            random number of times (RepPad, RecSys 2024); views are not.
        view_weight: weight of the next-item loss on each of two augmented views beside
            that on the sequence itself; the loss is their weighted mean. A view
            predicts the same next item.
        loss: form of the next-item loss.
        score: an item's score is the dot product of state and item vector; or their
            cosine, over `score_temperature`.
        score_temperature: how far apart cosines may lie as scores.
        num_negatives: sampled items a row for sampled_softmax and gbce.
        negative_sampling: how they are drawn; popularity means from training actions.
        calibration: t of gbce.
        pooling: a sequence's embedding is its last state (Eq. 2), or the mean state.
    """

    dim: int = choices(64, 32, 64, 128)
    num_layers: int = numbers(2, low=1, high=3)
    num_heads: int = 2
    dropout: float = numbers(0.5, low=0.1, high=0.7)
    attention_dropout: float = -1.0
    encoder: Literal["attention", "bsarec"] = "attention"
    num_frequencies: int = 3
    filter_share: float = 0.7
    causal_filter: bool = True
    mask_prob: float = numbers(0.0, low=0.0, high=0.5)
    repeats_history: bool = False
    view_weight: float = 0.0
    loss: Literal["softmax", "sampled_softmax", "bce", "gbce"] = "softmax"
    score: Literal["dot", "cosine"] = "cosine"
    score_temperature: float = numbers(0.07, low=0.03, high=0.2, log=True)
    num_negatives: int = 256
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
    calibration: float = 0.75
    pooling: Literal["last", "mean"] = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dim", "num_layers", "num_heads", "num_negatives"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        if self.dim % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide `dim`. Received: num_heads={self.num_heads}, "
                f"dim={self.dim}"
            )
        for name in ("dropout", "mask_prob"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ValueError(f"`{name}` must lie in [0, 1). Received: {share}")
        if not (self.attention_dropout == -1 or 0 <= self.attention_dropout < 1):
            raise ValueError(
                "`attention_dropout` must lie in [0, 1), or be -1. "
                f"Received: {self.attention_dropout}"
            )
        most = self.max_length // 2 + 1
        if self.encoder == "bsarec" and not 1 <= self.num_frequencies <= most:
            raise ValueError(
                f"`num_frequencies` must lie in [1, {most}], half of `max_length` and "
                f"one. Received: {self.num_frequencies}"
            )
        if not 0 <= self.filter_share <= 1:
            raise ValueError(
                f"`filter_share` must lie in [0, 1]. Received: {self.filter_share}"
            )
        if self.score_temperature <= 0:
            raise ValueError(
                "`score_temperature` must be positive. "
                f"Received: {self.score_temperature}"
            )
        if self.view_weight < 0:
            raise ValueError(
                f"`view_weight` must not be negative. Received: {self.view_weight}"
            )
        if self.view_weight and self.pooling != "last":
            raise ValueError(
                "`view_weight` needs the last state of a view (`pooling=last`). "
                f"Received: {self.view_weight}"
            )

"""BSARec: beyond self-attention for sequential recommendation.

Shin et al., "An Attentive Inductive Bias for Sequential Recommendation beyond the
Self-Attention", AAAI 2024, arXiv 2312.10325. SASRec whose blocks mix attention with a
filter that weighs high frequencies of the sequence against low ones.

Not reproduced: states of padding, which carry position vectors into the filter there
and are zero here. The filter leaves out later items unless `causal_filter=false`, as in
the paper, where the last position alone has a target.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import keras

from s4rec_tf.models.base import ModelSettings
from s4rec_tf.models.sasrec import SASRec
from s4rec_tf.models.sasrec_settings import SASRecSettings
from s4rec_tf.search_ranges import choices, numbers


@dataclasses.dataclass(frozen=True)
class BSARecSettings(SASRecSettings):
    """Settings of BSARec; c // 2 + 1 of its code is `num_frequencies`."""

    num_heads: int = choices(1, 1, 2, 4)
    encoder: Literal["attention", "bsarec"] = "bsarec"
    num_frequencies: int = numbers(3, low=1, high=9)
    filter_share: float = numbers(0.7, low=0.1, high=0.9)


@keras.saving.register_keras_serializable(package="s4rec_tf")
class BSARec(SASRec):
    """SASRec with attention beside a filter over the sequence."""

    Settings: ClassVar[type[ModelSettings]] = BSARecSettings

"""Padding that an export allows, or that the operator does.

The manifest beside a version may state it, by the input's name:

    "padding": {"exclude": {"side": "right", "value": ""}}

Nothing else is padded: only the model knows whether zeros change an answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

WIDTH = 64
"""Width of padded rows; wider ones go alone. The scheduler joins equal shapes only."""


@dataclasses.dataclass(frozen=True)
class Padding:
    """How rows of an input may be lengthened: on which side, with which value."""

    side: str
    value: str | float

    def __str__(self) -> str:
        return f"padded on the {self.side} with {json.dumps(self.value)}"

    def widen(self, array: np.ndarray) -> np.ndarray | None:
        """The array [B, L] as [B, WIDTH]; None if it is wider."""
        missing = WIDTH - array.shape[1]
        if missing < 0:
            return None
        start = 0 if self.side == "right" else missing
        value = self.value.encode() if isinstance(self.value, str) else self.value
        wide = np.full((len(array), WIDTH), value, array.dtype)
        wide[:, start : start + array.shape[1]] = array
        return wide


def paddings_of(manifest: Mapping[str, Any]) -> Mapping[str, Padding]:
    """The paddings that a version's manifest states, by input."""
    stated = manifest.get("padding", {})
    return {name: Padding(**entry) for name, entry in stated.items()}


def repeat_first(array: np.ndarray, declared: Sequence[int]) -> np.ndarray | None:
    """The array [B, ...] with its free dimensions (-1) widened to WIDTH.

    TF Serving's `pad_variable_length_inputs` repeats the tensor's first value after the
    data, up to the longest of a batch; here the width does not depend on strangers.
    None if the array is wider, or has no value to repeat.
    """
    missing = [
        WIDTH - size if fixed == -1 else 0
        for size, fixed in zip(array.shape[1:], declared[1:], strict=True)
    ]
    if not array.size or min(missing) < 0:
        return None
    added = [(0, 0), *((0, count) for count in missing)]
    return np.pad(array, added, constant_values=array.flat[0])

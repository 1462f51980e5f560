"""Padding that an export allows, or that the operator does.

The manifest beside a version may state it, by the input's name:

    "padding": {"exclude": {"side": "right", "value": ""}}

Nothing else is padded: only the model knows whether zeros change an answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

WIDTH = 64
"""Width of padded rows; wider ones go alone. The scheduler joins equal shapes only."""


@dataclasses.dataclass(frozen=True)
class Padding:
    """The padding of an input: on which side, with which value.

    Without a value it is the tensor's first one, as for `pad_variable_length_inputs` of
    TF Serving, which pads up to the longest of a batch; here the width does not depend
    on strangers.
    """

    side: str = "right"
    value: str | float | None = None

    def __str__(self) -> str:
        return f"padded on the {self.side} with {json.dumps(self.value)}"

    def widen(self, array: np.ndarray, declared: Sequence[int]) -> np.ndarray | None:
        """The array [B, ...] with its free dimensions (-1) widened to WIDTH.

        None if it is wider, or has no value to repeat.
        """
        sizes = [WIDTH if fixed == -1 else fixed for fixed in declared[1:]]
        pairs = list(zip(array.shape[1:], sizes, strict=True))
        value = self.value.encode() if isinstance(self.value, str) else self.value
        is_empty = value is None and not array.size
        if is_empty or any(size > most for size, most in pairs):
            return None
        fill = array.flat[0] if value is None else value
        wide = np.full((len(array), *sizes), fill, array.dtype)
        is_right = self.side == "right"
        part = [slice(n) if is_right else slice(most - n, most) for n, most in pairs]
        wide[(slice(None), *part)] = array
        return wide

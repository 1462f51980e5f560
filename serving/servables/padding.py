"""What an export allows to be added to a row without a change of its answer.

The manifest beside a version may say so, by the input's name:

    "padding": {"exclude": {"side": "right", "value": ""}}

Nothing else is padded: whether zeros change an answer is the model's affair.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serving.servables import version_files

WIDTH = 64
"""Width of padded rows; wider ones go alone.

The scheduler joins tensors of one shape alone, so that one width serves most requests.
"""


@dataclasses.dataclass(frozen=True)
class Padding:
    """How rows of an input may be lengthened.

    Attributes:
        side: `left` or `right`.
        value: what is added, of the input's type.
    """

    side: str
    value: str | float

    def __str__(self) -> str:
        return f"padded on the {self.side} with {json.dumps(self.value)}"

    def widen(self, array: np.ndarray) -> np.ndarray | None:
        """The array [B, L] as [B, WIDTH]; None if it is wider."""
        missing = WIDTH - array.shape[1]
        if missing < 0:
            return None
        added = (0, missing) if self.side == "right" else (missing, 0)
        value = self.value.encode() if isinstance(self.value, str) else self.value
        wide = np.full((len(array), WIDTH), value, array.dtype)
        wide[:, added[0] : WIDTH - added[1]] = array
        return wide


def paddings_of(path: Path) -> Mapping[str, Padding]:
    """What the manifest of a version says, by input; nothing without a manifest."""
    manifest = version_files.manifest_of(path)
    if not manifest.is_file():
        return {}
    stated = json.loads(manifest.read_text("utf-8")).get("padding", {})
    return {
        name: Padding(entry["side"], entry["value"]) for name, entry in stated.items()
    }


def repeat_first(array: np.ndarray, declared: Sequence[int]) -> np.ndarray | None:
    """The array with its free dimensions widened to WIDTH, as TF Serving pads.

    TF Serving repeats the tensor's first value after the data where
    `pad_variable_length_inputs` allows it. It pads to the longest of a batch; here the
    width does not depend on strangers.

    Args:
        array: [B, ...], with a value at least.
        declared: sizes of the signature, -1 standing for free ones.

    Returns:
        None if it is wider in a free dimension, or has no value to repeat.
    """
    missing = [
        WIDTH - size if fixed == -1 else 0
        for size, fixed in zip(array.shape[1:], declared[1:], strict=True)
    ]
    if not array.size or min(missing) < 0:
        return None
    added = [(0, 0), *((0, count) for count in missing)]
    return np.pad(array, added, constant_values=array.flat[0])

"""A Triton model repository over an export, for Triton's Python backend."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL = Path(__file__).parent / "model.py"
OUTPUTS = ("item_ids", "scores", "is_fallback")

# Triton's data types by TensorFlow's, of an export's inputs and outputs.
_TYPES = {1: "TYPE_FP32", 3: "TYPE_INT32", 7: "TYPE_STRING", 10: "TYPE_BOOL"}

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: {max_batch_size}
{tensors}
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "saved_model" value {{ string_value: {saved_model} }} }}
parameters {{ key: "signature" value {{ string_value: {signature} }} }}
"""


def write(
    repository: Path,
    name: str,
    version: Path,
    signature_name: str = "serving_default",
    max_batch_size: int = 64,
    outputs: Sequence[str] = OUTPUTS,
) -> Path:
    """Writes `repository/NAME`, one version, and returns that folder.

    Args:
        repository: Triton's `--model-repository`.
        name: of the model in Triton.
        version: BASE/NAME/N, read in place; its number is that of the version.
        signature_name: the signature that answers.
        max_batch_size: most rows that Triton joins.
        outputs: those of the signature to answer.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    graph = (version / "saved_model.pb").read_bytes()
    saved = saved_model_pb2.SavedModel.FromString(graph)
    signature = dict(saved.meta_graphs[0].signature_def)[signature_name]
    found = dict(signature.outputs)
    tensors = [
        *(_tensor("input", alias, info) for alias, info in signature.inputs.items()),
        *(_tensor("output", alias, found[alias]) for alias in outputs),
    ]
    folder = repository / name
    (folder / version.name).mkdir(parents=True)
    shutil.copy(MODEL, folder / version.name / MODEL.name)
    config = _CONFIG.format(
        name=name,
        max_batch_size=max_batch_size,
        tensors="\n".join(tensors),
        saved_model=json.dumps(str(version.resolve())),
        signature=json.dumps(signature_name),
    )
    (folder / "config.pbtxt").write_text(config, "utf-8")
    return folder


def _tensor(kind: str, alias: str, info: Any) -> str:
    # The batch's dimension is Triton's own.
    sizes = [dim.size for dim in info.tensor_shape.dim][1:]
    # A tensor of rank 1 has one value a row, which Triton sends as [B, 1].
    own = f"dims: {sizes}" if sizes else "dims: [ 1 ] reshape { shape: [] }"
    dtype = _TYPES[info.dtype]
    return f'{kind} [ {{ name: "{alias}" data_type: {dtype} {own} }} ]'

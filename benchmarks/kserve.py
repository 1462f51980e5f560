"""The few messages of the KServe v2 protocol that a query needs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from benchmarks.kserve_pb2 import InferRequest

INFER = "/inference.GRPCInferenceService/ModelInfer"

_FORMATS = {"FP32": "<f", "INT32": "<i", "BOOL": "<?"}


def history_request(model_name: str, rows: Sequence[Sequence[str]]) -> Any:
    """Asks for answers to histories of one length."""
    request = InferRequest(model_name=model_name)
    _add_strings(request, "history", rows)
    return request


def recommend_request(
    model_name: str, history: Sequence[str], k: int, exclude: Sequence[str]
) -> Any:
    """Asks for the best k after one history, without what is excluded."""
    request = InferRequest(model_name=model_name)
    _add_strings(request, "history", [history])
    request.inputs.add(name="k", datatype="INT32", shape=[1, 1])
    request.raw_input_contents.append(struct.pack("<i", k))
    _add_strings(request, "exclude", [["", *exclude]])
    return request


def _add_strings(request: Any, name: str, rows: Sequence[Sequence[str]]) -> None:
    shape = [len(rows), len(rows[0])]
    request.inputs.add(name=name, datatype="BYTES", shape=shape)
    items = [item.encode() for row in rows for item in row]
    request.raw_input_contents.append(
        b"".join(struct.pack("<I", len(item)) + item for item in items)
    )


def outputs_of(response: Any) -> dict[str, list[list[Any]]]:
    """The outputs of an answer as rows, by name."""
    found = {}
    for tensor, content in zip(
        response.outputs, response.raw_output_contents, strict=True
    ):
        values = _values(tensor.datatype, content)
        width = len(values) // max(tensor.shape[0], 1)
        starts = range(0, len(values), width or 1)
        found[tensor.name] = [values[start : start + width] for start in starts]
    return found


def _values(datatype: str, content: bytes) -> list[Any]:
    if datatype != "BYTES":
        return [value for (value,) in struct.iter_unpack(_FORMATS[datatype], content)]
    values, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        values.append(content[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return values

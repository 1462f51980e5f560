"""Messages of the client, and the Python values that they carry."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from typing import Any

import grpc

from serving.client import wire_pb2 as wire


class QueryError(RuntimeError):
    """A query without an answer, or with a wrong one; `code` is a call's status."""

    def __init__(self, message: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Recommendations:
    """An answer.

    Attributes:
        items: raw item ids with their scores, best first; at most k.
        is_fallback: True where no item of the history is known and the items are the
            popular ones.
        version: the model's version that answered.
        probabilities: how likely each of the items is the next one, in their order;
            empty for similar items.
    """

    items: list[tuple[str, float]]
    is_fallback: bool
    version: int
    probabilities: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The share of each item of a history in an item's score.

    Attributes:
        score: the item's score after the history.
        influences: the history's known items, each with the score less the score
            without it; that of the largest effect first.
        is_fallback: True where the item or the whole history is unknown.
        version: the model's version that answered.
    """

    score: float
    influences: list[tuple[str, float]]
    is_fallback: bool
    version: int


def padded(history: Sequence[str], length: int) -> Any:
    """The last `length` items of a history as a tensor [1, length], padded by ""."""
    recent = list(history[-length:])
    return strings([[""] * (length - len(recent)) + recent])


def fill_lists(request: Any, k: int, exclude: Sequence[str]) -> None:
    """Sets `exclude` and `k` of a request of one row."""
    # Led by "": TF Serving pads a batch's rows with the first value.
    request.inputs["exclude"].CopyFrom(strings([["", *exclude]]))
    request.inputs["k"].CopyFrom(int32([k]))


def strings(rows: list[list[str]], rank: int = 2) -> Any:
    """A string tensor of rank 2, or of rank 1 from the rows' first items."""
    tensor = wire.Tensor(dtype=wire.DT_STRING)
    for size in (len(rows), len(rows[0]))[:rank]:
        tensor.tensor_shape.dim.add(size=size)
    # An argument of the shell that is no UTF-8 arrives with surrogates.
    tensor.string_val.extend(
        item.encode("utf-8", "surrogateescape") for row in rows for item in row
    )
    return tensor


def int32(values: list[int]) -> Any:
    """An int32 tensor of rank 1."""
    tensor = wire.Tensor(dtype=wire.DT_INT32, int_val=values)
    tensor.tensor_shape.dim.add(size=len(values))
    return tensor


def to_recommendations(response: Any) -> Recommendations:
    """The recommendations of an answer."""
    items = pairs_of(response, "scores")
    probabilities = floats(response.outputs["probabilities"])[: len(items)]
    version = response.model_spec.version.value
    return Recommendations(items, is_fallback_of(response), version, probabilities)


def pairs_of(response: Any, values: str) -> list[tuple[str, float]]:
    """The items that are no blanks, which stand last, each with its value."""
    outputs = response.outputs
    missing = {"item_ids", values, "is_fallback"} - set(outputs)
    if missing:
        raise QueryError(f"the answer lacks {', '.join(sorted(missing))}")
    items = [
        item.decode("utf-8", "surrogateescape")
        for item in outputs["item_ids"].string_val
    ]
    pairs = zip(items, floats(outputs[values]), strict=True)
    return [pair for pair in pairs if pair[0]]


def floats(tensor: Any) -> list[float]:
    """The values of a float tensor, which are a list or raw bytes."""
    content = struct.iter_unpack("<f", tensor.tensor_content)
    return list(tensor.float_val) or [value for (value,) in content]


def is_fallback_of(response: Any) -> bool:
    """Whether any row of an answer is a fallback."""
    fallback = response.outputs["is_fallback"]
    return any(fallback.bool_val) or any(fallback.tensor_content)

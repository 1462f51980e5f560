"""TF Serving's JSON for Predict: row format `instances`, column format `inputs`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.servables import json_values
from serving.servables.padding import Padding
from serving.servables.tensors import check_size, sizes_of
from serving.status import StatusError, invalid

Infos = Mapping[str, meta_graph_pb2.TensorInfo]


def to_arrays(
    document: dict[str, Any], inputs: Infos, paddings: Mapping[str, Padding]
) -> dict[str, np.ndarray]:
    """The inputs of a signature in a request's document; paddings are for errors."""
    is_row_format = "instances" in document
    if is_row_format and "inputs" in document:
        raise invalid(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if not is_row_format and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    if not inputs:
        raise invalid("Failed to get input map for the signature: it has no input")
    if is_row_format:
        columns = _columns_of_rows(document["instances"], inputs)
        is_named = _is_object(document["instances"][0])
    else:
        columns, is_named = _columns(document["inputs"], inputs), False
    arrays = {}
    for name, column in columns.items():
        wanted = _Wanted(name, sizes_of(inputs[name]), paddings.get(name))
        if is_row_format:
            shape, leaves = _rows(column, wanted, name if is_named else "")
        else:
            shape, leaves = wanted.flatten(column)
        check_size(name, shape)
        try:
            arrays[name] = json_values.to_array(leaves, shape, inputs[name].dtype)
        except StatusError as error:
            text = f"input {name}: {error.message}"
            raise StatusError(error.code, text) from error
    return arrays


class _Wanted:
    """An input as the model wants it, for error texts."""

    def __init__(
        self, name: str, sizes: list[int] | None, padding: Padding | None
    ) -> None:
        self._name, self._sizes, self._padding = name, sizes, padding

    def flatten(
        self,
        value: Any,
        row: int | None = None,
        key: str = "",
        expected: list[int] | None = None,
    ) -> tuple[list[int], list[Any]]:
        """Shape and leaves of the whole input, or of a row of an expected shape."""
        try:
            shape, leaves = json_values.flatten(value)
            if expected is not None and shape != expected:
                raise _shapes_differ(expected, shape)
        except StatusError as error:
            text, sizes, subject = error.message, self._sizes, self._name
            if row is not None:
                text = f"{_element(row, key)}. Error: INVALID_ARGUMENT: {text}"
                sizes, subject = sizes and sizes[1:], f"A row of {subject}"
            if sizes is not None:
                known = str(sizes).replace("-1", "any")
                text += f". {subject} has the shape {known} here"
            if self._padding is not None:
                text += f"; shorter ones are {self._padding}"
            raise invalid(text) from error
        return shape, leaves


def _rows(rows: list[Any], wanted: _Wanted, key: str) -> tuple[list[int], list[Any]]:
    """Shape and leaves of rows, which must have the shape of the first."""
    shape, leaves = wanted.flatten(rows[0], 0, key)
    for number, row in enumerate(rows[1:], 1):
        leaves += wanted.flatten(row, number, key, shape)[1]
    return [len(rows), *shape], leaves


def _shapes_differ(expected: list[int], received: list[int]) -> StatusError:
    size, other = math.prod(expected), math.prod(received)
    if size != other:
        return invalid(f"Expecting tensor size: {size} but got: {other}")
    first, second = (str(shape).replace(" ", "") for shape in (expected, received))
    return invalid(f"Expecting shape {first} but got: {second}")


def _element(row: int, key: str = "") -> str:
    named = f" key: {key}" if key else ""
    return f"Failed to process element: {row}{named} of 'instances' list"


def _columns_of_rows(instances: Any, inputs: Infos) -> dict[str, list[Any]]:
    """The rows of each input."""
    if not isinstance(instances, list):
        raise invalid("Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid("No values in 'instances' array")
    is_named = _is_object(instances[0])
    if not is_named and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    for number, row in enumerate(instances):
        if _is_object(row) != is_named:
            texts = ("object but got list", "value/list but got object")
            text = texts[0] if is_named else texts[1]
            raise invalid(f"Expecting {text} at item {number} of input list")
        if is_named:
            _check_names(number, row, inputs)
    if not is_named:
        return {next(iter(inputs)): instances}
    return {name: [row[name] for row in instances] for name in inputs}


def _check_names(number: int, row: dict[str, Any], inputs: Infos) -> None:
    for name in row:
        if name not in inputs:
            raise invalid(
                f"{_element(number, name)}. Error: INVALID_ARGUMENT: "
                f"JSON object: does not have named input: {name}"
            )
    if len(row) < len(inputs):
        raise invalid(
            f"{_element(number)}. JSON object keys must be equal to: "
            f"{','.join(sorted(inputs))}"
        )


def _columns(values: Any, inputs: Infos) -> dict[str, Any]:
    """The value of each input."""
    if _is_object(values):
        for name in sorted(inputs):
            if name not in values:
                raise invalid(f"Missing named input: {name} in 'inputs' object.")
        return {name: values[name] for name in inputs}
    if len(inputs) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map"
        )
    return {next(iter(inputs)): values}


def _is_object(value: Any) -> bool:
    """Whether a value is a JSON object and not an encoded string."""
    return isinstance(value, dict) and not json_values.is_base64(value)


def to_document(
    outputs: Mapping[str, np.ndarray], is_row_format: bool
) -> dict[str, Any]:
    """The answer in the format of the question; a single output without its name."""
    if is_row_format:
        _check_rows({name: array.shape for name, array in outputs.items()})
    values = {name: json_values.to_json(name, array) for name, array in outputs.items()}
    key = "predictions" if is_row_format else "outputs"
    if len(values) == 1:
        return {key: next(iter(values.values()))}
    if not is_row_format:
        return {key: values}
    rows = zip(*values.values(), strict=True)
    return {key: [dict(zip(values, row, strict=True)) for row in rows]}


def _check_rows(shapes: dict[str, tuple[int, ...]]) -> None:
    expected = -1
    for name, shape in shapes.items():
        if not shape:
            raise invalid(
                f"Tensor name: {name} has no shape information: a scalar has no rows, "
                "ask for it by 'inputs'"
            )
        if expected not in (-1, shape[0]):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} "
                f"expecting: {expected}"
            )
        expected = shape[0]

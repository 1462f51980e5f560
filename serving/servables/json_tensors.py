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
        try:
            shape, leaves = (
                _flatten_rows(column, name if is_named else "")
                if is_row_format
                else json_values.flatten(column)
            )
        except StatusError as error:
            wanted = _wanted(name, inputs[name], paddings.get(name), is_row_format)
            raise invalid(error.message + wanted) from error
        check_size(name, shape)
        try:
            arrays[name] = json_values.to_array(leaves, shape, inputs[name].dtype)
        except StatusError as error:
            text = f"input {name}: {error.message}"
            raise StatusError(error.code, text) from error
    return arrays


def _flatten_rows(rows: list[Any], key: str) -> tuple[list[int], list[Any]]:
    """Shape and leaves of rows, which must have the shape of the first."""
    shape: list[int] | None = None
    leaves: list[Any] = []
    for number, row in enumerate(rows):
        try:
            found, more = json_values.flatten(row)
            if shape is not None and found != shape:
                raise _shapes_differ(shape, found)
        except StatusError as error:
            text = f"{_element(number, key)}. Error: INVALID_ARGUMENT: {error.message}"
            raise invalid(text) from error
        shape = found
        leaves += more
    return [len(rows), *(shape or [])], leaves


def _wanted(
    name: str, info: meta_graph_pb2.TensorInfo, padding: Padding | None, is_row: bool
) -> str:
    """The shape that the model wants, for an error's text."""
    sizes, text = sizes_of(info), ""
    if sizes is not None:
        known = str(sizes[1:] if is_row else sizes).replace("-1", "any")
        text = f". {'A row of ' * is_row}{name} has the shape {known} here"
    return text if padding is None else f"{text}; shorter ones are {padding}"


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

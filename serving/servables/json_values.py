"""Values of one tensor in JSON: lists of lists to arrays, and arrays to lists.

Rules and texts are TF Serving's (`json_tensor.cc`), since clients match on them. No
text quotes a value: it may be somebody's history. Long lists are converted in pieces,
between which other threads get the GIL.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.framework import types_pb2

from serving.status import StatusError, invalid

BASE64_KEY = "b64"
MAX_DEPTH = 16
"""Deepest nesting of a tensor in JSON."""

_PIECE = 2**15
_JSON_TYPES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}
_MANTISSA_BITS = {
    types_pb2.DT_BFLOAT16: 7,
    types_pb2.DT_HALF: 10,
    types_pb2.DT_FLOAT: 23,
    types_pb2.DT_DOUBLE: 52,
}


def flatten(value: Any) -> tuple[list[int], list[Any]]:
    """The shape, which the first elements decide, and the leaves in order."""
    shape: list[int] = []
    first, leaves = value, [value]
    while isinstance(first, list):
        if len(shape) == MAX_DEPTH:
            raise invalid(f"lists may be nested {MAX_DEPTH} deep at most")
        shape.append(len(first))
        first = first[0] if first else None
    rank = len(shape)
    for level, size in enumerate(shape):
        for element in leaves:
            _check_list(element, level, size, rank)
        leaves = [leaf for element in leaves for leaf in element]
    if any(isinstance(leaf, list) for leaf in leaves):
        raise invalid(f"Encountered list at unexpected level: {rank} expected < {rank}")
    return shape, leaves


def _check_list(element: Any, level: int, size: int, rank: int) -> None:
    if not isinstance(element, list):
        raise invalid(
            f"JSON Value of Type: {_type_of(element)} found at incorrect level: "
            f"{level + 1} in the JSON DOM. Expected at level: {rank}"
        )
    if len(element) != size:
        raise invalid(
            f"Encountered list at unexpected size: {len(element)} at level: {level} "
            f"expected size: {size}"
        )


def to_array(leaves: list[Any], shape: list[int], dtype: int) -> np.ndarray:
    """An array of values in order, of a `tensorflow.DataType` number."""
    kind = tf.as_dtype(dtype)
    if dtype == types_pb2.DT_STRING:
        convert: Any = _strings
    elif dtype in _MANTISSA_BITS:
        convert = _decimals
    elif dtype == types_pb2.DT_BOOL or kind.is_integer:
        convert = _integers
    else:
        raise StatusError(
            StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value to type: {_name(dtype)}",
        )
    array = np.empty(len(leaves), kind.as_numpy_dtype)
    for piece in _pieces(len(leaves)):
        array[piece] = convert(leaves[piece], dtype)
    return array.reshape(shape)


def _pieces(length: int) -> Iterator[slice]:
    for start in range(0, length, _PIECE):
        yield slice(start, start + _PIECE)


def _check_types(leaves: list[Any], types: set[type], dtype: int) -> None:
    if not set(map(type, leaves)) <= types:
        wrong = next(leaf for leaf in leaves if type(leaf) not in types)
        raise _type_error(wrong, dtype)


def _integers(leaves: list[Any], dtype: int) -> list[int]:
    bounds = tf.as_dtype(dtype)
    if bounds.is_bool:
        _check_types(leaves, {bool}, dtype)
        return leaves
    _check_types(leaves, {int}, dtype)
    for leaf in (min(leaves), max(leaves)):
        if not bounds.min <= leaf <= bounds.max:
            raise _type_error(leaf, dtype)
    return leaves


def _decimals(leaves: list[Any], dtype: int) -> np.ndarray:
    _check_types(leaves, {int, float}, dtype)
    largest_whole = 2 ** (1 + _MANTISSA_BITS[dtype]) - 1
    if any(type(leaf) is int and abs(leaf) > largest_whole for leaf in leaves):
        raise _lossy(dtype)
    values = np.array(leaves, np.float64)
    if (np.isfinite(values) & (np.abs(values) > float(tf.as_dtype(dtype).max))).any():
        raise _lossy(dtype)
    return values


def _lossy(dtype: int) -> StatusError:
    return invalid(
        f"Cannot convert JSON value to {_name(dtype)} without loss of precision."
    )


def _strings(leaves: list[Any], dtype: int) -> list[bytes]:
    try:
        return [
            leaf.encode() if type(leaf) is str else _decoded(leaf) for leaf in leaves
        ]
    except UnicodeEncodeError as error:
        raise invalid("lone surrogate in a string") from error


def _decoded(leaf: Any) -> bytes:
    if not isinstance(leaf, dict):
        raise _type_error(leaf, types_pb2.DT_STRING)
    if not is_base64(leaf):
        raise invalid("JSON Value not formatted correctly for base64 data")
    try:
        return base64.b64decode(leaf[BASE64_KEY], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def is_base64(value: dict[str, Any]) -> bool:
    """Whether an object stands for bytes."""
    return list(value) == [BASE64_KEY] and isinstance(value[BASE64_KEY], str)


def _type_error(leaf: Any, dtype: int) -> StatusError:
    return invalid(
        f"JSON Value of Type: {_type_of(leaf)} is not of expected type: {_name(dtype)}"
    )


def _name(dtype: int) -> str:
    return str(types_pb2.DataType.Name(dtype)).removeprefix("DT_").lower()


def _type_of(leaf: Any) -> str:
    return _JSON_TYPES.get(type(leaf), str(leaf))


def to_json(name: str, array: np.ndarray) -> Any:
    """Lists of an output's values, or a scalar; `_bytes` ends the names of base64."""
    if np.iscomplexobj(array):
        raise invalid(f"Failed to write JSON value for tensor type: {array.dtype}")
    convert: Any = _texts
    if name.endswith("_bytes"):
        convert = _encoded
    if array.dtype != object:
        if array.dtype.kind in "iub" or array.dtype == np.float64:
            return array.tolist()
        convert = _shortest
    flat = array.ravel()
    result = np.empty(flat.shape, np.float64 if convert is _shortest else object)
    for piece in _pieces(len(flat)):
        result[piece] = convert(flat[piece])
    return result.reshape(array.shape).tolist()


def _shortest(array: np.ndarray) -> np.ndarray:
    # Through the shortest decimal, so that 0.2 does not become 0.20000000298.
    is_known = array.dtype in (np.float32, np.float16)
    return (array if is_known else array.astype(np.float32)).astype("U32")


def _texts(array: np.ndarray) -> list[str]:
    return [item.decode("utf-8", "replace") for item in array.tolist()]


def _encoded(array: np.ndarray) -> list[dict[str, str]]:
    items = array.tolist()
    return [{BASE64_KEY: base64.b64encode(item).decode()} for item in items]

"""Values of one tensor in JSON: lists of lists to `TensorProto`, arrays to lists.

Rules and texts are TF Serving's (`json_tensor.cc`), since clients look for them. No
text quotes a value: it may be somebody's history.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.servables.tensors import FIELDS, name_of
from serving.status import StatusError, invalid_argument

BASE64_KEY = "b64"
BYTES_SUFFIX = "_bytes"
MAX_DEPTH = 16
"""Deepest nesting of a tensor in JSON."""

_JSON_TYPES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def shape_of(value: Any) -> list[int]:
    """Sizes along the first elements, which decide the shape.

    Raises:
        StatusError: INVALID_ARGUMENT if lists are nested too deep.
    """
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_DEPTH:
            raise invalid_argument(f"lists may be nested {MAX_DEPTH} deep at most")
        if not value:
            break
        value = value[0]
    return shape


def leaves_of(value: Any, shape: list[int]) -> list[Any]:
    """The values at the lowest level, in order.

    Raises:
        StatusError: INVALID_ARGUMENT if a list does not fit the shape.
    """
    elements = [value]
    for level, size in enumerate(shape):
        for element in elements:
            _check_list(element, level, size, len(shape))
        elements = [leaf for element in elements for leaf in element]
    rank = len(shape)
    if any(isinstance(leaf, list) for leaf in elements):
        raise invalid_argument(
            f"Encountered list at unexpected level: {rank} expected < {rank}"
        )
    return elements


def _check_list(element: Any, level: int, size: int, rank: int) -> None:
    if not isinstance(element, list):
        raise invalid_argument(
            f"JSON Value of Type: {_type_of(element)} found at incorrect level: "
            f"{level + 1} in the JSON DOM. Expected at level: {rank}"
        )
    if len(element) != size:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(element)} at level: {level} "
            f"expected size: {size}"
        )


def to_proto(
    leaves: list[Any], shape: list[int], dtype: int, proto: tensor_pb2.TensorProto
) -> None:
    """Fills a message with values.

    Args:
        leaves: values in order.
        shape: sizes, of which the product is the number of values.
        dtype: `tensorflow.DataType` number that the signature wants.
        proto: empty.

    Raises:
        StatusError: INVALID_ARGUMENT if a value is not of the type, UNIMPLEMENTED if
            JSON has no values of it.
    """
    proto.dtype = dtype
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == types_pb2.DT_STRING:
        values: list[Any] = _strings(leaves)
    elif dtype == types_pb2.DT_BOOL:
        _check_types(leaves, {bool}, dtype)
        values = leaves
    else:
        numpy_type = _number_type(dtype)
        is_whole = np.issubdtype(numpy_type, np.integer)
        values = (_integers if is_whole else _decimals)(leaves, dtype)
    getattr(proto, FIELDS[dtype]).extend(values)


def _number_type(dtype: int) -> Any:
    """NumPy's type of a number, whole or decimal."""
    if dtype not in FIELDS or tf.as_dtype(dtype).is_complex:
        raise StatusError(
            StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value to type: {name_of(dtype)}",
        )
    return tf.as_dtype(dtype).as_numpy_dtype


def _check_types(leaves: list[Any], types: set[type], dtype: int) -> None:
    # A million values must not take a second.
    if set(map(type, leaves)) <= types:
        return
    wrong = next(leaf for leaf in leaves if type(leaf) not in types)
    raise _type_error(wrong, dtype)


def _integers(leaves: list[Any], dtype: int) -> list[int]:
    _check_types(leaves, {int}, dtype)
    bounds = tf.as_dtype(dtype)
    for leaf in (min(leaves), max(leaves)) if leaves else ():
        if not bounds.min <= leaf <= bounds.max:
            raise _type_error(leaf, dtype)
    return leaves


def _decimals(leaves: list[Any], dtype: int) -> list[Any]:
    _check_types(leaves, {int, float}, dtype)
    bounds = tf.as_dtype(dtype)
    largest_whole = 2 ** (1 + _mantissa_bits(dtype)) - 1
    if any(type(leaf) is int and abs(leaf) > largest_whole for leaf in leaves):
        raise _lossy(dtype)
    values = np.array(leaves, np.float64)
    if (np.isfinite(values) & (np.abs(values) > float(bounds.max))).any():
        raise _lossy(dtype)
    if FIELDS[dtype] == "half_val":
        return values.astype(bounds.as_numpy_dtype).view(np.uint16).tolist()
    return values.tolist()


def _mantissa_bits(dtype: int) -> int:
    return {
        types_pb2.DT_BFLOAT16: 7,
        types_pb2.DT_HALF: 10,
        types_pb2.DT_FLOAT: 23,
        types_pb2.DT_DOUBLE: 52,
    }[dtype]


def _lossy(dtype: int) -> StatusError:
    return invalid_argument(
        f"Cannot convert JSON value to {name_of(dtype)} without loss of precision."
    )


def _strings(leaves: list[Any]) -> list[bytes]:
    if set(map(type, leaves)) <= {str}:
        with contextlib.suppress(UnicodeEncodeError):
            return [leaf.encode() for leaf in leaves]
    return [_to_bytes(leaf) for leaf in leaves]


def _to_bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        try:
            return leaf.encode()
        except UnicodeEncodeError as error:
            raise invalid_argument("lone surrogate in a string") from error
    if not isinstance(leaf, dict):
        raise _type_error(leaf, types_pb2.DT_STRING)
    if not is_base64(leaf):
        raise invalid_argument("JSON Value not formatted correctly for base64 data")
    try:
        return base64.b64decode(leaf[BASE64_KEY], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def is_base64(value: dict[str, Any]) -> bool:
    """True for the object that stands for bytes."""
    return list(value) == [BASE64_KEY] and isinstance(value[BASE64_KEY], str)


def _type_error(leaf: Any, dtype: int) -> StatusError:
    return invalid_argument(
        f"JSON Value of Type: {_type_of(leaf)} is not of expected type: "
        f"{name_of(dtype)}"
    )


def _type_of(leaf: Any) -> str:
    return _JSON_TYPES.get(type(leaf), str(leaf))


def to_json(name: str, array: np.ndarray) -> Any:
    """Lists of an output's values, or the value of a scalar.

    Args:
        name: of the output; strings are text unless it ends in `_bytes`.
        array: of bytes objects, numbers or truths.

    Raises:
        StatusError: INVALID_ARGUMENT for complex numbers.
    """
    if np.iscomplexobj(array):
        raise invalid_argument(
            f"Failed to write JSON value for tensor type: {array.dtype}"
        )
    if array.dtype == object:
        return _text_lists(array, name.endswith(BYTES_SUFFIX))
    if array.dtype.kind in "iub" or array.dtype == np.float64:
        return array.tolist()
    if array.dtype not in (np.float32, np.float16):
        array = array.astype(np.float32)
    # Through the shortest decimal, so that 0.2 does not become 0.20000000298.
    return array.astype("U32").astype(np.float64).tolist()


def _text_lists(array: np.ndarray, is_bytes: bool) -> Any:
    if math.prod(array.shape) == 0:
        return array.tolist()
    encode = _encoded if is_bytes else _text
    # A list would be taken for a further dimension.
    result = np.empty(array.size, object)
    result[:] = [encode(item) for item in array.ravel().tolist()]
    return result.reshape(array.shape).tolist()


def _text(item: bytes) -> str:
    return item.decode("utf-8", "replace")


def _encoded(item: bytes) -> dict[str, str]:
    return {BASE64_KEY: base64.b64encode(item).decode()}

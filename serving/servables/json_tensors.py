"""TF Serving's JSON for Predict: row format `instances`, column format `inputs`."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.status import invalid_argument

BASE64_KEY = "b64"
BYTES_SUFFIX = "_bytes"
MAX_DEPTH = 16
"""Deepest nesting of a tensor in JSON."""

_INT_RANGE = {
    types_pb2.DT_INT32: ("int_val", 31),
    types_pb2.DT_INT64: ("int64_val", 63),
}
_FLOAT_FIELD = {types_pb2.DT_FLOAT: "float_val", types_pb2.DT_DOUBLE: "double_val"}


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body; NaN and Infinity are accepted.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8"))
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deep") from error
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: {_reason(error)}") from error
    if not isinstance(document, dict):
        raise invalid_argument("JSON Value: Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid_argument("'signature_name' key must be a string value.")
    return document


def _reason(error: ValueError) -> str:
    # Not str(error): of a wrong byte it quotes the body.
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at offset: {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 at offset: {error.start}"
    return "Invalid value."


def fill_inputs(
    document: dict[str, Any],
    signature: meta_graph_pb2.SignatureDef,
    request: predict_pb2.PredictRequest,
) -> bool:
    """Fills the request's inputs from the document.

    Returns:
        Whether the document is in row format.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if "instances" in document:
        columns = _columns(document["instances"], signature)
    elif "inputs" in document:
        columns = _named(document["inputs"], signature)
    else:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    for name, value in columns.items():
        request.inputs[name].CopyFrom(_to_proto(name, value, signature.inputs[name]))
    return "instances" in document


def _columns(
    instances: Any, signature: meta_graph_pb2.SignatureDef
) -> dict[str, list[Any]]:
    """Turns rows into one list for each input."""
    if not isinstance(instances, list):
        raise invalid_argument("Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument("No values in 'instances' array")
    names = sorted(signature.inputs)
    if not _is_object(instances[0]):
        if len(names) > 1:
            raise invalid_argument(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        for number, row in enumerate(instances):
            if _is_object(row):
                raise invalid_argument(
                    f"Expecting value/list but got object at item {number} "
                    "of input list"
                )
        return {names[0]: instances}
    for number, row in enumerate(instances):
        if not _is_object(row):
            raise invalid_argument(
                f"Expecting object but got list at item {number} of input list"
            )
        if sorted(row) != names:
            raise invalid_argument(
                f"Failed to process element: {number} of 'instances' list. JSON object "
                f"keys must be equal to: {','.join(names)}"
            )
    return {name: [row[name] for row in instances] for name in names}


def _named(inputs: Any, signature: meta_graph_pb2.SignatureDef) -> dict[str, Any]:
    names = sorted(signature.inputs)
    if not _is_object(inputs):
        if len(names) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {names[0]: inputs}
    for name in names:
        if name not in inputs:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in names}


def _is_object(value: Any) -> bool:
    """True for a JSON object that is not an encoded string."""
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict[str, Any]) -> bool:
    return list(value) == [BASE64_KEY] and isinstance(value[BASE64_KEY], str)


def _to_proto(
    name: str, value: Any, info: meta_graph_pb2.TensorInfo
) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=info.dtype)
    shape = _shape(value)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    leaves = [value]
    for level, size in enumerate(shape):
        for element in leaves:
            if not isinstance(element, list) or len(element) != size:
                raise invalid_argument(
                    f"input {name}: Encountered list at unexpected size at level: "
                    f"{level} expected size: {size}"
                )
        leaves = [leaf for element in leaves for leaf in element]
    _append(name, proto, leaves)
    return proto


def _shape(value: Any) -> list[int]:
    """Sizes along the first elements, as the first row decides the shape."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_DEPTH:
            raise invalid_argument(f"lists may be nested {MAX_DEPTH} deep at most")
        if not value:
            break
        value = value[0]
    return shape


def _append(name: str, proto: tensor_pb2.TensorProto, leaves: list[Any]) -> None:
    if proto.dtype == types_pb2.DT_STRING and set(map(type, leaves)) == {str}:
        # A million items must not take a second.
        with contextlib.suppress(UnicodeEncodeError):
            proto.string_val.extend([leaf.encode() for leaf in leaves])
            return
    for leaf in leaves:
        if isinstance(leaf, list):
            raise invalid_argument(
                f"input {name}: Encountered list at unexpected level"
            )
        if proto.dtype == types_pb2.DT_STRING:
            proto.string_val.append(_to_bytes(name, leaf))
        elif proto.dtype == types_pb2.DT_BOOL and isinstance(leaf, bool):
            proto.bool_val.append(leaf)
        elif proto.dtype in _INT_RANGE and type(leaf) is int:
            field, bits = _INT_RANGE[proto.dtype]
            if not -(2**bits) <= leaf < 2**bits:
                raise _type_error(name, leaf, proto.dtype)
            getattr(proto, field).append(leaf)
        elif proto.dtype in _FLOAT_FIELD and type(leaf) in (int, float):
            getattr(proto, _FLOAT_FIELD[proto.dtype]).append(_to_float(name, leaf))
        else:
            raise _type_error(name, leaf, proto.dtype)


def _to_float(name: str, leaf: float) -> float:
    try:
        return float(leaf)
    except OverflowError as error:
        raise invalid_argument(f"input {name}: number out of range") from error


def _to_bytes(name: str, leaf: Any) -> bytes:
    if isinstance(leaf, str):
        try:
            return leaf.encode()
        except UnicodeEncodeError as error:
            raise invalid_argument(f"input {name}: lone surrogate in string") from error
    if isinstance(leaf, dict) and _is_base64(leaf):
        try:
            return base64.b64decode(leaf[BASE64_KEY], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid_argument("Unable to base64 decode") from error
    raise _type_error(name, leaf, types_pb2.DT_STRING)


def _type_error(name: str, leaf: Any, dtype: int) -> Exception:
    expected = types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()
    return invalid_argument(
        f"input {name}: JSON Value of Type: {type(leaf).__name__} is not of expected "
        f"type: {expected}"
    )


def to_document(
    response: predict_pb2.PredictResponse, is_row_format: bool
) -> dict[str, Any]:
    """The answer in the format of the question.

    A single output goes without its name. Strings are text, unless the output's name
    ends in `_bytes`.

    Raises:
        StatusError: INVALID_ARGUMENT if rows are asked for and outputs differ in them.
    """
    arrays = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    values = {name: _to_json(name, array) for name, array in sorted(arrays.items())}
    single = next(iter(values.values())) if len(values) == 1 else None
    if not is_row_format:
        return {"outputs": values if single is None else single}
    sizes = {array.shape[:1] for array in arrays.values()}
    if len(sizes) != 1 or () in sizes:
        raise invalid_argument(
            "Tensors must share the same 0th dimension in row format"
        )
    if single is not None:
        return {"predictions": single}
    rows = [
        dict(zip(values, row, strict=True))
        for row in zip(*values.values(), strict=True)
    ]
    return {"predictions": rows}


def _to_json(name: str, array: np.ndarray) -> Any:
    if array.dtype == np.float32:
        # Through the shortest decimal, so that 0.2 does not become 0.20000000298.
        return array.astype("U32").astype(np.float64).tolist()
    if array.dtype != object:
        return array.tolist()
    encode = _encoded if name.endswith(BYTES_SUFFIX) else _text
    flat = [encode(item) for item in array.ravel().tolist()]
    if math.prod(array.shape) == 0:
        return array.tolist()
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(array.shape).tolist()


def _text(item: bytes) -> str:
    return item.decode("utf-8", "replace")


def _encoded(item: bytes) -> dict[str, str]:
    return {BASE64_KEY: base64.b64encode(item).decode()}

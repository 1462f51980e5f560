"""`TensorProto` to NumPy and back, trusting nothing that a request declares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving import limits
from serving.status import invalid_argument

FIELDS = {
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_BOOL: "bool_val",
}
"""Where `TensorProto` holds values of a type, by `tensorflow.DataType` number."""

_STORED_AS = {
    "half_val": np.uint16,
    "scomplex_val": np.float32,
    "dcomplex_val": np.float64,
}
"""Types of which a field holds the bits or the parts."""


def to_array(
    alias: str, proto: tensor_pb2.TensorProto, info: meta_graph_pb2.TensorInfo
) -> np.ndarray:
    """The values of an input, of any shape: whether that fits is the model's affair.

    Args:
        alias: name in the signature, for error texts.
        proto: what the request holds.
        info: what the signature asks for.

    Raises:
        StatusError: INVALID_ARGUMENT if the dtype is another, the shape is none or too
            large, or the values do not fill it.
    """
    if proto.dtype != info.dtype:
        raise invalid_argument(
            f"input {alias}: dtype must be {_dtype_name(info.dtype)}. "
            f"Received: {_dtype_name(proto.dtype)}"
        )
    sizes = _checked_sizes(alias, proto.tensor_shape)
    if proto.dtype == types_pb2.DT_STRING and len(proto.string_val) == math.prod(sizes):
        # What `make_ndarray` does, without its copies.
        return np.array(proto.string_val, object).reshape(sizes)
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _checked_sizes(alias: str, shape: Any) -> list[int]:
    sizes = [dim.size for dim in shape.dim]
    if shape.unknown_rank or any(size < 0 for size in sizes):
        raise invalid_argument(
            f"tensor parsing error: {alias}: a value's sizes must be known. "
            f"Received: {'unknown rank' if shape.unknown_rank else sizes}"
        )
    if math.prod(sizes) > limits.MAX_TENSOR_ELEMENTS:
        raise invalid_argument(
            f"input {alias}: a tensor may have {limits.MAX_TENSOR_ELEMENTS} elements "
            f"at most. Received: {sizes}"
        )
    return sizes


def sizes_of(info: meta_graph_pb2.TensorInfo) -> list[int] | None:
    """The declared sizes, -1 standing for any; None if the rank is unknown."""
    if info.tensor_shape.unknown_rank:
        return None
    return [dim.size for dim in info.tensor_shape.dim]


def write_proto(value: Any, dtype: int, proto: tensor_pb2.TensorProto) -> None:
    """Writes an output as TF Serving does: in the typed field of its dtype.

    Args:
        value: an array, or the scalar of a session.
        dtype: `tensorflow.DataType` number.
        proto: empty; a field of the response, so that nothing is copied.
    """
    if dtype not in FIELDS:
        proto.CopyFrom(tf.make_tensor_proto(value))
        return
    # A scalar string is plain bytes, which NumPy would cut at a NUL.
    array = np.array(value, object) if isinstance(value, bytes) else np.asarray(value)
    proto.dtype = dtype
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    field, flat = FIELDS[dtype], array.ravel()
    if field in _STORED_AS:
        flat = flat.view(_STORED_AS[field])
    getattr(proto, field).extend(flat.tolist())


def name_of(dtype: int) -> str:
    """TensorFlow's name of a type in texts: `int32`."""
    return _dtype_name(dtype).removeprefix("DT_").lower()


def _dtype_name(dtype: int) -> str:
    try:
        return str(types_pb2.DataType.Name(dtype))
    except ValueError:
        return str(dtype)

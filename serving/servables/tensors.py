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

_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_BOOL: "bool_val",
}


def to_array(
    alias: str, proto: tensor_pb2.TensorProto, info: meta_graph_pb2.TensorInfo
) -> np.ndarray:
    """The values of an input.

    Args:
        alias: name in the signature, for error texts.
        proto: what the request holds.
        info: what the signature asks for.

    Raises:
        StatusError: INVALID_ARGUMENT if dtype, rank, a fixed dimension or the number of
            values is wrong.
    """
    if proto.dtype != info.dtype:
        raise invalid_argument(
            f"input {alias}: dtype must be {_dtype_name(info.dtype)}. "
            f"Received: {_dtype_name(proto.dtype)}"
        )
    check_shape(alias, proto.tensor_shape, info)
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype == types_pb2.DT_STRING and len(proto.string_val) == math.prod(sizes):
        # What `make_ndarray` does, without its copies.
        return np.array(proto.string_val, object).reshape(sizes)
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def check_shape(alias: str, shape: Any, info: meta_graph_pb2.TensorInfo) -> None:
    """Compares a declared shape with the signature's and with the limit.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    received = None if shape.unknown_rank else [dim.size for dim in shape.dim]
    expected = [dim.size for dim in info.tensor_shape.dim]
    fits = (
        received is not None
        and len(received) == len(expected)
        and all(
            size >= 0 and fixed in (-1, size)
            for size, fixed in zip(received, expected, strict=True)
        )
    )
    if not fits:
        raise invalid_argument(
            f"input {alias}: shape must be {expected}, -1 standing for any size. "
            f"Received: {received}"
        )
    if math.prod(received or []) > limits.MAX_TENSOR_ELEMENTS:
        raise invalid_argument(
            f"input {alias}: a tensor may have {limits.MAX_TENSOR_ELEMENTS} elements "
            f"at most. Received: {received}"
        )


def write_proto(array: np.ndarray, dtype: int, proto: tensor_pb2.TensorProto) -> None:
    """Writes an output as TF Serving does: in the typed field of its dtype.

    Args:
        array: the values.
        dtype: `tensorflow.DataType` number.
        proto: empty; a field of the response, so that nothing is copied.
    """
    if dtype not in _FIELDS:
        proto.CopyFrom(tf.make_tensor_proto(array))
        return
    proto.dtype = dtype
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _FIELDS[dtype]).extend(array.ravel().tolist())


def _dtype_name(dtype: int) -> str:
    try:
        return str(types_pb2.DataType.Name(dtype))
    except ValueError:
        return str(dtype)

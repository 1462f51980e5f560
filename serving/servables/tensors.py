"""`TensorProto` to NumPy and back, trusting nothing that a request declares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving import limits
from serving.status import invalid

_FIELDS = {
    **{types_pb2.DT_FLOAT: "float_val", types_pb2.DT_DOUBLE: "double_val"},
    **dict.fromkeys((types_pb2.DT_HALF, types_pb2.DT_BFLOAT16), "half_val"),
    **dict.fromkeys((types_pb2.DT_INT8, types_pb2.DT_INT16), "int_val"),
    **dict.fromkeys((types_pb2.DT_UINT8, types_pb2.DT_UINT16), "int_val"),
    **{types_pb2.DT_INT32: "int_val", types_pb2.DT_INT64: "int64_val"},
    **{types_pb2.DT_UINT32: "uint32_val", types_pb2.DT_UINT64: "uint64_val"},
    **{types_pb2.DT_COMPLEX64: "scomplex_val", types_pb2.DT_COMPLEX128: "dcomplex_val"},
    **{types_pb2.DT_STRING: "string_val", types_pb2.DT_BOOL: "bool_val"},
}
_STORED_AS = {
    "half_val": np.uint16,
    "scomplex_val": np.float32,
    "dcomplex_val": np.float64,
}
"""Types of which a field holds the bits or the parts."""


def to_array(
    alias: str, proto: tensor_pb2.TensorProto, info: meta_graph_pb2.TensorInfo
) -> np.ndarray:
    """The values of an input. The model decides whether their shape fits."""
    if proto.dtype != info.dtype:
        raise invalid(
            f"input {alias}: dtype must be {_dtype_name(info.dtype)}. "
            f"Received: {_dtype_name(proto.dtype)}"
        )
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise invalid(
            f"tensor parsing error: {alias}: the sizes of a value must be known. "
            f"Received: {'unknown rank' if proto.tensor_shape.unknown_rank else sizes}"
        )
    check_size(alias, sizes)
    if proto.dtype == types_pb2.DT_STRING and len(proto.string_val) == math.prod(sizes):
        # As `make_ndarray`, without its copies.
        return np.array(proto.string_val, object).reshape(sizes)
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def check_size(alias: str, sizes: Sequence[int]) -> None:
    """Bounds the memory of one input."""
    if math.prod(sizes) > limits.MAX_TENSOR_ELEMENTS:
        raise invalid(
            f"input {alias}: a tensor may have {limits.MAX_TENSOR_ELEMENTS} elements "
            f"at most. Received: {list(sizes)}"
        )


def sizes_of(info: meta_graph_pb2.TensorInfo) -> list[int] | None:
    """The declared sizes, -1 for any; None if the rank is unknown."""
    if info.tensor_shape.unknown_rank:
        return None
    return [dim.size for dim in info.tensor_shape.dim]


def write_proto(value: Any, dtype: int, proto: tensor_pb2.TensorProto) -> None:
    """Writes an output into the typed field of its dtype, as TF Serving does."""
    if dtype not in _FIELDS:
        proto.CopyFrom(tf.make_tensor_proto(value))
        return
    proto.dtype = dtype
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    field, flat = _FIELDS[dtype], value.ravel()
    if field in _STORED_AS:
        flat = flat.view(_STORED_AS[field])
    getattr(proto, field).extend(flat.tolist())


def as_array(value: Any) -> np.ndarray:
    """An output of a session, where a scalar string is plain bytes."""
    # NumPy would cut bytes at a NUL.
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def _dtype_name(dtype: int) -> str:
    known = dtype in types_pb2.DataType.values()
    return types_pb2.DataType.Name(dtype) if known else str(dtype)

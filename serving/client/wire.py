"""The few messages of TF Serving's API that a client needs, without TensorFlow.

The generated modules of tensorflow-serving-api import TensorFlow, which takes ten
seconds; a client needs none of it. The messages are declared here with TensorFlow's
names and field numbers, in a descriptor pool of their own, so that a process may import
both. `tests/serving/test_wire.py` holds them to the generated ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)

DT_FLOAT, DT_INT32, DT_STRING, DT_BOOL = 1, 3, 7, 10
"""`tensorflow.DataType` numbers."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
    "float": _FIELD.TYPE_FLOAT,
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}

# message -> field -> (number, type); "*T" is repeated, "{T}" a map from string to T.
Message = dict[str, tuple[int, str]]
_MESSAGES: dict[str, Message] = {
    "Version": {"value": (1, "int64")},
    "Dim": {"size": (1, "int64")},
    "TensorShape": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "bool_val": (11, "*bool"),
    },
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Version"),
        "signature_name": (3, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "{Tensor}"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "{Tensor}"), "model_spec": (2, "ModelSpec")},
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "TensorShape"),
    },
    "SignatureDef": {"inputs": (1, "{TensorInfo}"), "outputs": (2, "{TensorInfo}")},
    "SignatureDefMap": {"signature_def": (1, "{SignatureDef}")},
    "MetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "*string"),
    },
    "MetadataResponse": {
        "model_spec": (1, "ModelSpec"),
        "metadata": (2, "{google.protobuf.Any}"),
    },
}


def declare(package: str, messages: Mapping[str, Message]) -> dict[str, Any]:
    """Classes of messages, in a descriptor pool of their own.

    Args:
        package: of the messages here; it is not on the wire.
        messages: message -> field -> (number, type); "*T" is repeated, "{T}" a map from
            string to T.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    known = (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR)
    file.dependency.extend(descriptor.name for descriptor in known)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind.startswith("{"):
                _add_map(message, field, number, kind.strip("{}"), package)
            else:
                _add_field(message, field, number, kind, package)
    pool = descriptor_pool.DescriptorPool()
    for descriptor in known:
        pool.AddSerializedFile(descriptor.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(own) for name, own in found.items()}


def _add_field(message: Any, name: str, number: int, kind: str, package: str) -> None:
    repeated = kind.startswith("*")
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    kind = kind.lstrip("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".{kind}" if "." in kind else f".{package}.{kind}"


def _add_map(message: Any, name: str, number: int, kind: str, package: str) -> None:
    """A map on the wire is a repeated pair, named after the field."""
    entry_name = "".join(part.title() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string", package)
    _add_field(entry, "value", 2, kind, package)
    message.field.add(
        name=name,
        number=number,
        label=_FIELD.LABEL_REPEATED,
        type=_FIELD.TYPE_MESSAGE,
        type_name=f".{package}.{message.name}.{entry_name}",
    )


_CLASSES = declare("s4rec.wire", _MESSAGES)
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
MetadataRequest = _CLASSES["MetadataRequest"]
MetadataResponse = _CLASSES["MetadataResponse"]
SignatureDefMap = _CLASSES["SignatureDefMap"]
Tensor = _CLASSES["Tensor"]

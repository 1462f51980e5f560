"""tf.train.Example without TensorFlow, whose import alone takes ten seconds.

The messages are those of tensorflow/core/example/{example,feature}.proto, declared in
a pool of their own so that they live beside TensorFlow's in one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Feature = bytes | int | list[int]
"""One bytes value, one int64 value, or a list of int64 values."""

_PACKAGE = "s4rec.tensorflow"
_Field = descriptor_pb2.FieldDescriptorProto


def _add_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, type_: Any
) -> None:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if isinstance(type_, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{type_}"
    else:
        field.type = type_


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="s4rec_example.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, type_ in (
        ("BytesList", _Field.TYPE_BYTES),
        ("FloatList", _Field.TYPE_FLOAT),
        ("Int64List", _Field.TYPE_INT64),
    ):
        values = file.message_type.add(name=name)
        _add_field(values, "value", 1, type_)
        values.field[0].label = _Field.LABEL_REPEATED

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, kind in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        _add_field(feature, kind.lower().replace("list", "_list"), number, kind)
        feature.field[-1].oneof_index = 0

    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _Field.TYPE_STRING)
    _add_field(entry, "value", 2, "Feature")
    _add_field(features, "feature", 1, "Features.FeatureEntry")
    features.field[0].label = _Field.LABEL_REPEATED

    _add_field(file.message_type.add(name="Example"), "features", 1, "Features")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
_Example: Any = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName(f"{_PACKAGE}.Example")
)


def serialize_example(features: Mapping[str, Feature]) -> bytes:
    """A serialized tf.train.Example; equal features give equal bytes."""
    example = _Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.int64_list.value.extend(value)
    return bytes(example.SerializeToString(deterministic=True))


def parse_example(serialized: bytes) -> dict[str, list[Any]]:
    """The values of every feature of a serialized tf.train.Example."""
    example = _Example.FromString(serialized)
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in example.features.feature.items()
        if feature.WhichOneof("kind")
    }

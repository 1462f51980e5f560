"""Requests of one history joined as messages: what they say is read inside the batch.

Turning a request's text into arrays, and the answer's arrays into a message, costs
Python about as much as the gRPC call. Here TensorFlow's own operations do both, for a
whole batch at once; Python passes a string in and hands a string out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2
from tensorflow.core.framework import tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving import metrics
from serving.config_files import BatchingParameters
from serving.contract import Code, StatusError
from serving.session_callable import quick_callable

_FIELD = descriptor_pb2.FieldDescriptorProto
_VALUES = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_BOOL: "bool_val",
}
_PACKAGE = "s4rec.serving"


def _descriptors() -> bytes:
    """TensorProto, an entry of a map to it, and the map, as TF Serving numbers them."""
    messages = {
        "Tensor": (
            ("dtype", 1, _FIELD.TYPE_INT32, False),
            ("tensor_shape", 2, _FIELD.TYPE_BYTES, False),
            ("float_val", 5, _FIELD.TYPE_FLOAT, True),
            ("string_val", 8, _FIELD.TYPE_BYTES, True),
            ("bool_val", 11, _FIELD.TYPE_BOOL, True),
        ),
        "Entry": (
            ("key", 1, _FIELD.TYPE_BYTES, False),
            ("value", 2, _FIELD.TYPE_BYTES, False),
        ),
        "Response": (("outputs", 1, _FIELD.TYPE_BYTES, True),),
    }
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name="serving.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, label=label)
    return b"bytes://" + files.SerializeToString()


_SOURCE = _descriptors()


def takes_one_text(signature: meta_graph_pb2.SignatureDef) -> bool:
    """Whether the signature's one input is string [B, L] with a fixed L."""
    if len(signature.inputs) != 1:
        return False
    (info,) = signature.inputs.values()
    sizes = [dim.size for dim in info.tensor_shape.dim]
    return info.dtype == types_pb2.DT_STRING and len(sizes) == 2 and sizes[1] > 0


class MessageBatcher:
    """One signature, asked for certain outputs, by requests of one row each."""

    def __init__(
        self,
        session: tf.compat.v1.Session,
        name: str,
        signature: meta_graph_pb2.SignatureDef,
        outputs: Sequence[str],
        parameters: BatchingParameters,
    ) -> None:
        """Adds the operation to the session's graph.

        Args:
            session: of the version.
            name: of the signature, one that `takes_one_text`.
            signature: its definition.
            outputs: aliases to answer, of a fixed shape a row and a known dtype.
            parameters: how requests are joined.
        """
        self._name = name
        (info,) = signature.inputs.values()
        self._length = info.tensor_shape.dim[1].size
        self._row = tensor_shape_pb2.TensorShapeProto()
        for size in (1, self._length):
            self._row.dim.add(size=size)
        graph = session.graph
        tensors = [graph.get_tensor_by_name(signature.outputs[a].name) for a in outputs]
        call = tensors[0].op
        captured = [tensor for tensor in call.inputs if tensor.name != info.name]
        is_history = [tensor.name == info.name for tensor in call.inputs]

        def answer(messages: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
            left = iter(rest)
            history = _read(messages, self._length)
            values = tf.raw_ops.StatefulPartitionedCall(
                args=[history if own else next(left) for own in is_history],
                Tout=[tensor.dtype for tensor in call.outputs],
                f=call.get_attr("f"),
            )
            rows = tf.shape(messages)[0]
            entries = [
                _entry(alias, values[tensor.value_index], tensor.shape[1:], rows)
                for alias, tensor in zip(outputs, tensors, strict=True)
            ]
            return _encoded("Response", {"outputs": tf.stack(entries, axis=1)})

        with graph.as_default():
            specs = [tf.TensorSpec([None], tf.string)]
            specs += [tf.TensorSpec(t.shape, t.dtype) for t in captured]
            traced = tf.function(answer, input_signature=specs, autograph=False)
            feed = tf.compat.v1.placeholder(tf.string, [None])
            (result,) = tf.raw_ops.BatchFunction(
                in_tensors=[feed],
                captured_tensors=captured,
                f=traced.get_concrete_function(),
                num_batch_threads=parameters.num_batch_threads,
                max_batch_size=parameters.max_batch_size,
                batch_timeout_micros=parameters.batch_timeout_micros,
                max_enqueued_batches=parameters.max_enqueued_batches,
                allowed_batch_sizes=list(parameters.allowed_batch_sizes),
                shared_name=f"messages_{name}_{'_'.join(outputs)}",
                Tout=[tf.string],
            )
        self._run = quick_callable(session, [result.name], [feed.name])

    def message(self, proto: Any) -> bytes | None:
        """What `run` takes of a request; None if it must go another way.

        Args:
            proto: the input, a TensorProto; only a row of `string_val` as the signature
                wants it is taken.
        """
        fits = proto.dtype == types_pb2.DT_STRING and proto.tensor_shape == self._row
        if not fits or len(proto.string_val) != self._length:
            return None
        metrics.BATCH_INPUT.observe(1, self._name)
        return bytes(proto.SerializeToString())

    def run(self, messages: list[bytes]) -> list[bytes] | None:
        """The outputs, each as the `outputs` of a serialized PredictResponse.

        Args:
            messages: as of `message`; one task of the scheduler, of a row each.

        Returns:
            None if one of the batch is wrong: each must go another way.

        Raises:
            StatusError: UNAVAILABLE if too many batches wait.
        """
        try:
            (answers,) = self._run(np.array(messages, object))
        except tf.errors.UnavailableError as error:
            raise StatusError(Code.UNAVAILABLE, error.message) from error
        except (tf.errors.OpError, UnicodeDecodeError):
            return None
        return list(answers)


def can_answer(
    graph: tf.Graph, signature: meta_graph_pb2.SignatureDef, outputs: Sequence[str]
) -> bool:
    """Whether the outputs can be written into messages: fixed rows of known dtypes."""
    for alias in outputs:
        tensor = graph.get_tensor_by_name(signature.outputs[alias].name)
        has_rows = tensor.shape.rank and tensor.shape[1:].is_fully_defined()
        if not has_rows or tensor.dtype.as_datatype_enum not in _VALUES:
            return False
    return bool(outputs)


def _read(messages: tf.Tensor, length: int) -> tf.Tensor:
    _, (texts,) = tf.raw_ops.DecodeProtoV2(
        bytes=messages,
        message_type=f"{_PACKAGE}.Tensor",
        field_names=["string_val"],
        output_types=[tf.string],
        descriptor_source=_SOURCE,
    )
    return tf.ensure_shape(texts, [None, length])


def _entry(
    alias: str, values: tf.Tensor, row_shape: tf.TensorShape, rows: tf.Tensor
) -> tf.Tensor:
    """Entries of the map, string [B], of an output [B, ...]."""

    def same(value: Any, dtype: tf.DType) -> tf.Tensor:
        return tf.fill([rows, 1], tf.constant(value, dtype))

    shape = tensor_shape_pb2.TensorShapeProto()
    for size in (1, *row_shape.as_list()):
        shape.dim.add(size=size)
    code = values.dtype.as_datatype_enum
    tensor = _encoded(
        "Tensor",
        {
            "dtype": same(code, tf.int32),
            "tensor_shape": same(shape.SerializeToString(), tf.string),
            _VALUES[code]: tf.reshape(values, [rows, row_shape.num_elements()]),
        },
    )
    return _encoded(
        "Entry",
        {"key": same(alias.encode(), tf.string), "value": tensor[:, tf.newaxis]},
    )


def _encoded(message: str, fields: dict[str, tf.Tensor]) -> tf.Tensor:
    """Messages, string [B], of which each field has so many values [B, n]."""
    values = list(fields.values())
    counts = tf.constant([[value.shape[1] for value in values]], tf.int32)
    return tf.raw_ops.EncodeProto(
        sizes=tf.tile(counts, [tf.shape(values[0])[0], 1]),
        values=values,
        field_names=list(fields),
        message_type=f"{_PACKAGE}.{message}",
        descriptor_source=_SOURCE,
    )

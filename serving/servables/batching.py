"""Joins requests to batches by TensorFlow's own scheduler, as TF Serving does.

The operation is `BatchFunction`, which `tf.nondifferentiable_batch_function` makes: the
C++ SharedBatchScheduler that TF Serving's batching session stands on. It is put around
the function that a signature calls, in the version's own session, and ends with that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.protobuf import meta_graph_pb2

from serving import metrics
from serving.config_files import BatchingParameters
from serving.status import StatusError, invalid_argument

LIST_WIDTH = 64
"""Lists of free width (`exclude`, `allow`) are padded to it; wider ones go alone.

The scheduler joins tensors of one shape. Blanks mean nothing to an export, and are
safer than the tensor's first value, with which TF Serving pads.
"""


class Batcher:
    """One signature of a session, with requests joined."""

    def __init__(
        self,
        session: tf.compat.v1.Session,
        name: str,
        signature: meta_graph_pb2.SignatureDef,
        parameters: BatchingParameters,
    ) -> None:
        """Adds the operation to the session's graph."""
        self._name = name
        self._max_rows = parameters.max_batch_size
        self._aliases = sorted(signature.inputs)
        self._is_list = [_is_list(signature.inputs[a]) for a in self._aliases]
        self._outputs = sorted(signature.outputs)
        graph = session.graph
        with graph.as_default():
            (call,) = _calls_of(graph, signature)
            feeds, results = _batched(graph, name, call, signature, parameters)
            index = {info.name: alias for alias, info in signature.outputs.items()}
            by_alias = {
                index[tensor.name]: result
                for tensor, result in zip(call.outputs, results, strict=True)
                if tensor.name in index
            }
        self._run = session.make_callable(
            [by_alias[alias].name for alias in self._outputs],
            [feeds[alias].name for alias in self._aliases],
        )

    def run(
        self, outputs: Sequence[str], arrays: Sequence[np.ndarray]
    ) -> list[np.ndarray] | None:
        """Answers by a batch.

        Args:
            outputs: aliases wanted.
            arrays: the inputs, in order of their aliases.

        Returns:
            The outputs in order, or None if the request must go alone: it cannot be
            joined, or it or another of its batch is wrong.

        Raises:
            StatusError: INVALID_ARGUMENT for too many rows, UNAVAILABLE if too many
                batches wait.
        """
        rows = {len(array) for array in arrays if array.ndim}
        if len(rows) != 1 or 0 in rows:
            return None
        (count,) = rows
        if count > self._max_rows:
            raise invalid_argument(
                f"Task size {count} is larger than maximum input batch size "
                f"{self._max_rows}"
            )
        padded = []
        for array, is_list in zip(arrays, self._is_list, strict=True):
            if is_list and array.shape[1] > LIST_WIDTH:
                return None
            padded.append(_widened(array) if is_list else array)
        metrics.BATCH_INPUT.observe(count, self._name)
        try:
            values = self._run(*padded)
        except tf.errors.UnavailableError as error:
            raise StatusError(StatusCode.UNAVAILABLE, error.message) from error
        except (tf.errors.OpError, UnicodeDecodeError):
            return None
        by_alias = dict(zip(self._outputs, values, strict=True))
        return [by_alias[alias] for alias in outputs]


def batchers_of(
    session: tf.compat.v1.Session,
    signatures: Mapping[str, meta_graph_pb2.SignatureDef],
    parameters: BatchingParameters,
) -> dict[str, Batcher]:
    """The batcher of each signature that can be batched, by the signature's name."""
    batchers = {}
    for name, signature in signatures.items():
        if signature.inputs and _is_one_call(session.graph, signature):
            batchers[name] = Batcher(session, name, signature, parameters)
    return batchers


def _is_list(info: meta_graph_pb2.TensorInfo) -> bool:
    dimensions = info.tensor_shape.dim
    return len(dimensions) == 2 and dimensions[1].size < 0


def _widened(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((len(array), LIST_WIDTH), array.dtype)
    if array.dtype == object:
        wide.fill(b"")
    wide[:, : array.shape[1]] = array
    return wide


def _calls_of(
    graph: tf.Graph, signature: meta_graph_pb2.SignatureDef
) -> set[tf.Operation]:
    return {graph.get_tensor_by_name(i.name).op for i in signature.outputs.values()}


def _is_one_call(graph: tf.Graph, signature: meta_graph_pb2.SignatureDef) -> bool:
    calls = _calls_of(graph, signature)
    kinds = {call.type for call in calls}
    return len(calls) == 1 and kinds <= {"PartitionedCall", "StatefulPartitionedCall"}


def _batched(
    graph: tf.Graph,
    name: str,
    call: tf.Operation,
    signature: meta_graph_pb2.SignatureDef,
    parameters: BatchingParameters,
) -> tuple[dict[str, tf.Tensor], Any]:
    """New placeholders by alias, and the call's outputs for batches of them."""
    alias_of = {info.name: alias for alias, info in signature.inputs.items()}
    inputs = [tensor for tensor in call.inputs if tensor.name in alias_of]
    feeds = {
        alias_of[tensor.name]: tf.compat.v1.placeholder(tensor.dtype, tensor.shape)
        for tensor in inputs
    }
    results = tf.raw_ops.BatchFunction(
        in_tensors=[feeds[alias_of[tensor.name]] for tensor in inputs],
        captured_tensors=list(call.inputs)[len(inputs) :],
        f=call.get_attr("f"),
        num_batch_threads=parameters.num_batch_threads,
        max_batch_size=parameters.max_batch_size,
        batch_timeout_micros=parameters.batch_timeout_micros,
        max_enqueued_batches=parameters.max_enqueued_batches,
        allowed_batch_sizes=list(parameters.allowed_batch_sizes),
        # Operations that share a name share a queue, of one function.
        shared_name=f"batch_{name}",
        Tout=[tensor.dtype for tensor in call.outputs],
    )
    return feeds, results

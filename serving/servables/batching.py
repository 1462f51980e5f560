"""Joins requests by TensorFlow's own scheduler, as TF Serving does.

The operation is `BatchFunction`: the C++ SharedBatchScheduler, on which TF Serving's
batching session stands. It wraps the function that a signature calls, in the version's
own session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.protobuf import meta_graph_pb2

from serving import metrics
from serving.config_files import BatchingParameters
from serving.servables.graphs import Graph
from serving.servables.padding import Padding
from serving.servables.tensors import sizes_of
from serving.status import StatusError


class Batcher:
    """One signature of a session, which `is_row_wise`, with requests joined.

    Attributes:
        max_rows: most rows of a request.
    """

    def __init__(
        self,
        session: tf.compat.v1.Session,
        graph: Graph,
        name: str,
        parameters: BatchingParameters,
        paddings: Mapping[str, Padding],
    ) -> None:
        self._name, self._session = name, session
        self.max_rows = parameters.max_batch_size
        others = Padding() if parameters.pad_variable_length_inputs else None
        infos = graph.signatures[name].inputs
        self._feeds = graph.feeds[name]
        self._sizes = {alias: sizes_of(info) or [] for alias, info in infos.items()}
        self._paddings = {alias: paddings.get(alias, others) for alias in infos}
        with session.graph.as_default():
            self._results = _batched(graph, name, parameters)

    def run(self, arrays: Mapping[str, np.ndarray]) -> Mapping[str, Any] | None:
        """All outputs by a batch, from all inputs.

        None if the request must run alone, because it cannot be joined, or because it
        or another one of its batch is wrong.
        """
        rows = {len(array) if array.ndim else 0 for array in arrays.values()}
        if len(rows) != 1 or 0 in rows:
            return None
        ready = {
            feed: _prepared(arrays[alias], self._sizes[alias], self._paddings[alias])
            for alias, feed in self._feeds.items()
        }
        if any(array is None for array in ready.values()):
            return None
        metrics.BATCH_INPUT.labels(self._name).observe(rows.pop())
        try:
            return self._session.run(self._results, ready)
        except tf.errors.UnavailableError as error:
            raise StatusError(StatusCode.UNAVAILABLE, error.message) from error
        except (tf.errors.OpError, UnicodeDecodeError):
            return None


def _prepared(
    array: np.ndarray, sizes: list[int], padding: Padding | None
) -> np.ndarray | None:
    """The array, lengthened where that is allowed; None if it must run alone."""
    if len(sizes) != array.ndim or any(
        fixed not in (-1, size) for size, fixed in zip(array.shape, sizes, strict=True)
    ):
        # The model may take it, but not as rows.
        return None
    if padding is None or -1 not in sizes[1:]:
        return array
    return padding.widen(array, sizes)


def batchers_of(
    session: tf.compat.v1.Session,
    graph: Graph,
    parameters: BatchingParameters,
    paddings: Mapping[str, Padding],
) -> dict[str, Batcher]:
    """A batcher for each signature that can be batched, by the signature's name."""
    return {
        name: Batcher(session, graph, name, parameters, paddings)
        for name, signature in graph.signatures.items()
        if is_row_wise(signature) and _call_of(graph, name) is not None
    }


def is_row_wise(signature: meta_graph_pb2.SignatureDef) -> bool:
    """Whether all inputs and outputs declare a free first dimension.

    Only then are rows independent: an input [3] is one question of three values, and of
    an unknown rank nothing is known.
    """
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    names = [info.name for info in signature.inputs.values()]
    return (
        bool(names)
        and len(set(names)) == len(names)
        and all((sizes_of(info) or [0])[0] == -1 for info in infos)
    )


def _call_of(graph: Graph, name: str) -> tf.Operation | None:
    """The call of one function that makes all outputs; None of another graph (TF1)."""
    calls = {tensor.op for tensor in graph.fetches[name].values()}
    call = calls.pop()
    is_call = call.type in ("PartitionedCall", "StatefulPartitionedCall")
    return call if is_call and not calls else None


def _batched(
    graph: Graph, name: str, parameters: BatchingParameters
) -> dict[str, tf.Tensor]:
    """Outputs by name, for batches of what is fed."""
    call: Any = _call_of(graph, name)
    feeds = {tensor.ref() for tensor in graph.feeds[name].values()}
    inputs = [tensor for tensor in call.inputs if tensor.ref() in feeds]
    results = tf.raw_ops.BatchFunction(
        in_tensors=inputs,
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
    return {
        alias: results[tensor.value_index]
        for alias, tensor in graph.fetches[name].items()
    }

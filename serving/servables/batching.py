"""Joins requests by TensorFlow's own scheduler, as TF Serving does.

The operation is `BatchFunction`: the C++ SharedBatchScheduler, on which TF Serving's
batching session stands. It wraps the function that a signature calls, in the version's
own session.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from serving.status import StatusError, invalid


class Batcher:
    """One signature of a session, which `is_row_wise`, with requests joined."""

    def __init__(
        self,
        session: tf.compat.v1.Session,
        graph: Graph,
        name: str,
        parameters: BatchingParameters,
        paddings: Mapping[str, Padding],
    ) -> None:
        self._name, self._max_rows = name, parameters.max_batch_size
        signature = graph.signatures[name]
        aliases = sorted(signature.inputs)
        others = Padding() if parameters.pad_variable_length_inputs else None
        self._inputs = [
            _Input(sizes_of(signature.inputs[alias]) or [], paddings.get(alias, others))
            for alias in aliases
        ]
        self._outputs = sorted(signature.outputs)
        with session.graph.as_default():
            results = _batched(graph, name, parameters)
        self._run = session.make_callable(
            [results[alias] for alias in self._outputs],
            [graph.feed(name, alias) for alias in aliases],
        )

    def run(
        self, outputs: Sequence[str], arrays: Sequence[np.ndarray]
    ) -> list[np.ndarray] | None:
        """The outputs by a batch, from the inputs in order of their names.

        None if the request must run alone, because it cannot be joined, or because it
        or another one of its batch is wrong.
        """
        rows = {len(array) if array.ndim else 0 for array in arrays}
        if len(rows) != 1 or 0 in rows:
            return None
        (count,) = rows
        if count > self._max_rows:
            raise invalid(
                f"Task size {count} is larger than maximum input batch size "
                f"{self._max_rows}"
            )
        pairs = zip(self._inputs, arrays, strict=True)
        ready = [given.prepared(array) for given, array in pairs]
        if any(array is None for array in ready):
            return None
        metrics.BATCH_INPUT.labels(self._name).observe(count)
        try:
            values = self._run(*ready)
        except tf.errors.UnavailableError as error:
            raise StatusError(StatusCode.UNAVAILABLE, error.message) from error
        except (tf.errors.OpError, UnicodeDecodeError):
            return None
        by_name = dict(zip(self._outputs, values, strict=True))
        return [by_name[name] for name in outputs]


@dataclasses.dataclass
class _Input:
    """One input: its declared sizes, and its padding if it may be padded."""

    sizes: list[int]
    padding: Padding | None

    def prepared(self, array: np.ndarray) -> np.ndarray | None:
        """The array, lengthened where that is allowed; None if it must run alone."""
        fits = array.ndim == len(self.sizes) and all(
            fixed in (-1, size)
            for size, fixed in zip(array.shape, self.sizes, strict=True)
        )
        if not fits:
            # The model may take it, but not as rows.
            return None
        if self.padding is None or -1 not in self.sizes[1:]:
            return array
        return self.padding.widen(array, self.sizes)


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
    calls = {graph.fetch(name, alias).op for alias in graph.signatures[name].outputs}
    call = calls.pop()
    is_call = call.type in ("PartitionedCall", "StatefulPartitionedCall")
    return call if is_call and not calls else None


def _batched(
    graph: Graph, name: str, parameters: BatchingParameters
) -> dict[str, tf.Tensor]:
    """Outputs by name, for batches of what is fed."""
    call: Any = _call_of(graph, name)
    signature = graph.signatures[name]
    feeds = {graph.feed(name, alias).ref() for alias in signature.inputs}
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
        alias: results[graph.fetch(name, alias).value_index]
        for alias in signature.outputs
    }

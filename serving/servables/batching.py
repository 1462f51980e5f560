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
from serving.servables import padding
from serving.servables.graphs import Graph
from serving.servables.padding import Padding
from serving.servables.tensors import sizes_of
from serving.status import StatusError, invalid_argument


class Batcher:
    """One signature of a session, with requests joined."""

    def __init__(
        self,
        session: tf.compat.v1.Session,
        graph: Graph,
        name: str,
        parameters: BatchingParameters,
        paddings: Mapping[str, Padding],
    ) -> None:
        """Adds the operation to the session's graph.

        Args:
            session: of the version.
            graph: what is loaded in it.
            name: of a signature that `is_row_wise`.
            parameters: how requests are joined.
            paddings: how rows may be lengthened, by input.
        """
        self._name = name
        self._max_rows = parameters.max_batch_size
        signature = graph.signatures[name]
        self._inputs = [
            _Input(
                sizes_of(signature.inputs[alias]) or [],
                paddings.get(alias),
                parameters.pad_variable_length_inputs,
            )
            for alias in sorted(signature.inputs)
        ]
        self._outputs = sorted(signature.outputs)
        with session.graph.as_default():
            results = _batched(graph, name, parameters)
        self._run = session.make_callable(
            [results[alias] for alias in self._outputs],
            [graph.feed(name, alias) for alias in sorted(signature.inputs)],
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
        rows = {len(array) if array.ndim else 0 for array in arrays}
        if len(rows) != 1 or 0 in rows:
            return None
        (count,) = rows
        if count > self._max_rows:
            raise invalid_argument(
                f"Task size {count} is larger than maximum input batch size "
                f"{self._max_rows}"
            )
        ready = []
        for given, array in zip(self._inputs, arrays, strict=True):
            joinable = given.prepared(array)
            if joinable is None:
                return None
            ready.append(joinable)
        metrics.BATCH_INPUT.labels(self._name).observe(count)
        try:
            values = self._run(*ready)
        except tf.errors.UnavailableError as error:
            raise StatusError(StatusCode.UNAVAILABLE, error.message) from error
        except (tf.errors.OpError, UnicodeDecodeError):
            return None
        by_alias = dict(zip(self._outputs, values, strict=True))
        return [by_alias[alias] for alias in outputs]


class _Input:
    """How arrays of one input are made ready to be joined."""

    def __init__(
        self, sizes: list[int], stated: Padding | None, pads_all: bool
    ) -> None:
        self._sizes = sizes
        self._padding = stated if sizes[1:] == [-1] else None
        self._pads_all = pads_all

    def prepared(self, array: np.ndarray) -> np.ndarray | None:
        """The array, lengthened where that is allowed; None if it must go alone."""
        fits = array.ndim == len(self._sizes) and all(
            fixed in (-1, size)
            for size, fixed in zip(array.shape, self._sizes, strict=True)
        )
        if not fits:
            # The model may take it, but not as rows.
            return None
        if self._padding is not None:
            return self._padding.widen(array)
        if self._pads_all and -1 in self._sizes[1:]:
            return padding.repeat_first(array, self._sizes)
        return array


def batchers_of(
    session: tf.compat.v1.Session,
    graph: Graph,
    parameters: BatchingParameters,
    paddings: Mapping[str, Padding],
) -> dict[str, Batcher]:
    """The batcher of each signature that can be batched, by the signature's name."""
    return {
        name: Batcher(session, graph, name, parameters, paddings)
        for name, signature in graph.signatures.items()
        if is_row_wise(signature) and _call_of(graph, name) is not None
    }


def is_row_wise(signature: meta_graph_pb2.SignatureDef) -> bool:
    """Whether all inputs and outputs declare a free first dimension.

    Only then may strangers' rows stand below one another: the three values of an input
    [3] are one question, and of an unknown rank nothing is known.
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
    """Outputs by alias, for batches of what is fed."""
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

"""The short way of a request of one history through Python.

Under load the interpreter's lock is what requests wait for. What follows from the
model, the signature and the outputs that a request names is therefore worked out once
for all that name the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import contract, metrics, signatures
from serving.batching import Batchers
from serving.contract import StatusError
from serving.message_batching import MessageBatcher

_MOST_ROUTES = 256
"""Clients may name outputs in any order, and models by any label."""


class _Route(NamedTuple):
    """Where requests go that name the same, and what their answers begin with."""

    alias: str
    batcher: MessageBatcher
    head: bytes


class QuickAnswers:
    """Answers of one version that need no arrays in Python."""

    def __init__(
        self,
        batchers: Batchers,
        definitions: Mapping[str, meta_graph_pb2.SignatureDef],
        version: int,
        model_name: str,
    ) -> None:
        """Takes what joins messages, and what the version is called in metrics."""
        self._batchers = batchers
        self._definitions = definitions
        self._version = version
        self._model_name = model_name
        self._routes: dict[tuple[bytes | str, ...], _Route] = {}

    def answer(self, request: predict_pb2.PredictRequest) -> bytes | None:
        """The serialized PredictResponse.

        Returns:
            None for a request that is wrong, has not one row, or needs arrays:
            `Servable.predict` knows which.

        Raises:
            StatusError: UNAVAILABLE if too many batches wait.
        """
        key = (request.model_spec.SerializeToString(), *request.output_filter)
        route = self._routes.get(key)
        if route is None:
            route = self._new_route(request)
            if route is None:
                return None
            if len(self._routes) < _MOST_ROUTES:
                self._routes[key] = route
        inputs = request.inputs
        if len(inputs) != 1 or route.alias not in inputs:
            return None
        start = time.perf_counter()
        outputs = route.batcher.run(inputs[route.alias])
        if outputs is None:
            return None
        micros = 1e6 * (time.perf_counter() - start)
        metrics.RUNTIME_LATENCY.observe(micros, self._model_name, "Predict", "TF1")
        return route.head + outputs

    def _new_route(self, request: predict_pb2.PredictRequest) -> _Route | None:
        name = request.model_spec.signature_name or contract.DEFAULT_SIGNATURE
        signature = self._definitions.get(name)
        if signature is None:
            return None
        try:
            outputs = signatures.output_names(signature, request.output_filter)
        except StatusError:
            return None
        batcher = self._batchers.of_messages(name, signature, outputs)
        if batcher is None:
            return None
        (alias,) = signature.inputs
        head = signatures.response_head(request, self._version)
        return _Route(alias, batcher, bytes(head.SerializeToString()))

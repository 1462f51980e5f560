"""The short way of a request of one history through Python.

Under load the interpreter's lock is what requests wait for. What follows from the
model, the signature and the outputs that a request names is therefore worked out once
for all that name the same, and no thread is spent on a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import contract, metrics, signatures
from serving.batching import Batchers
from serving.contract import StatusError
from serving.hand_over import AnswerAll, HandOver
from serving.message_batching import MessageBatcher

_MOST_ROUTES = 256
"""Clients may name outputs in any order, and models by any label."""


class _Route(NamedTuple):
    """Where requests go that name the same, and what their answers begin with."""

    alias: str
    batcher: MessageBatcher
    hand_over: HandOver
    head: bytes


class QuickAnswers:
    """Answers of one version that need no arrays in Python."""

    def __init__(
        self,
        batchers: Batchers,
        definitions: Mapping[str, meta_graph_pb2.SignatureDef],
        version: int,
        model_name: str,
        while_open: Callable[[AnswerAll], AnswerAll],
    ) -> None:
        """Takes what joins messages, and what the version is called in metrics.

        `while_open` keeps the version's session open while a function of it runs.
        """
        self._batchers = batchers
        self._definitions = definitions
        self._version = version
        self._model_name = model_name
        self._while_open = while_open
        self._routes: dict[tuple[bytes | str, ...], _Route] = {}
        self._hand_overs: dict[MessageBatcher, HandOver] = {}

    async def answer(self, request: predict_pb2.PredictRequest) -> bytes | None:
        """The serialized PredictResponse.

        Returns:
            None for a request that is wrong, has not one row, needs arrays or names
            what none has named before: `Servable.predict` knows which, and `learn`
            helps the next.

        Raises:
            StatusError: UNAVAILABLE if too many requests wait.
        """
        route = self._routes.get(_named_by(request))
        inputs = request.inputs
        if route is None or len(inputs) != 1 or route.alias not in inputs:
            return None
        message = route.batcher.message(inputs[route.alias])
        if message is None:
            return None
        start = time.perf_counter()
        outputs = await route.hand_over.answer(message)
        if outputs is None:
            return None
        micros = 1e6 * (time.perf_counter() - start)
        metrics.RUNTIME_LATENCY.observe(micros, self._model_name, "Predict", "TF1")
        return route.head + outputs

    def learn(self, request: predict_pb2.PredictRequest) -> None:
        """Works out what follows from what a request names; may take a second."""
        key = _named_by(request)
        if key in self._routes or len(self._routes) >= _MOST_ROUTES:
            return
        name = request.model_spec.signature_name or contract.DEFAULT_SIGNATURE
        signature = self._definitions.get(name)
        if signature is None:
            return
        try:
            outputs = signatures.output_names(signature, request.output_filter)
        except StatusError:
            return
        batcher = self._batchers.of_messages(name, signature, outputs)
        if batcher is None:
            return
        (alias,) = signature.inputs
        head = signatures.response_head(request, self._version).SerializeToString()
        new = HandOver(self._while_open(batcher.run), self._batchers.parameters)
        hand_over = self._hand_overs.setdefault(batcher, new)
        self._routes[key] = _Route(alias, batcher, hand_over, bytes(head))


def _named_by(request: predict_pb2.PredictRequest) -> tuple[bytes | str, ...]:
    return (request.model_spec.SerializeToString(), *request.output_filter)

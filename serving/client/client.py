"""Queries, against this server or TF Serving itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from serving.client import channel, messages
from serving.client import wire_pb2 as wire
from serving.client.messages import Explanation, QueryError, Recommendations

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
SIGNATURE_DEF = "signature_def"
DEFAULT_TIMEOUT_SECONDS = 10.0
_SWAPS = 5
"""Versions that may come and go within one question."""


class Client:
    """Queries one model; a context manager that closes its channel.

    Every query raises `QueryError` if it is not answered.

    Args:
        target: HOST:PORT of the gRPC port, to which it connects at the first query.
        model_name: the served model's name.
        timeout: seconds for each call.
        security: of the connection; plain by default.
    """

    def __init__(
        self,
        target: str,
        model_name: str,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        security: channel.Security | None = None,
    ) -> None:
        self._model_name, self._target, self._timeout = model_name, target, timeout
        self._channel = channel.connect(target, security)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        exclude: Sequence[str] = (),
        include_history: bool = False,
        allow: Sequence[str] | None = None,
    ) -> Recommendations:
        """The best k items after a history.

        Args:
            history: raw item ids, oldest first, any number.
            k: items wanted; the model answers its own bound at most.
            exclude: raw item ids that must not be answered.
            include_history: whether items of the history may be answered; not together
                with `allow`.
            allow: raw item ids, the only ones to answer; None for all.
        """
        if include_history and allow is not None:
            raise ValueError("`allow` answers nothing of the history")
        name = "recommend_with_history" if include_history else "recommend"
        if allow is not None:
            name = "recommend_among"

        def fill(request: Any, length: int) -> None:
            # The model sees, and so excludes, only the last L.
            earlier = [] if include_history else history[:-length]
            request.inputs["history"].CopyFrom(messages.padded(history, length))
            messages.fill_lists(request, k, [*earlier, *exclude])
            if allow is not None:
                request.inputs["allow"].CopyFrom(messages.strings([["", *allow]]))

        outputs = ("item_ids", "scores", "probabilities")
        return messages.to_recommendations(self._ask_with_length(name, outputs, fill))

    def similar_items(
        self, item: str, k: int = 10, exclude: Sequence[str] = ()
    ) -> Recommendations:
        """The k items most like one, by the cosine of vectors; see `recommend`."""
        request = self._request("similar_items", "item_ids", "scores")
        request.inputs["item"].CopyFrom(messages.strings([[item]], rank=1))
        messages.fill_lists(request, k, exclude)
        response = self._call(PREDICT, request, wire.PredictResponse)
        return messages.to_recommendations(response)

    def explain(self, history: Sequence[str], item: str) -> Explanation:
        """The share of the last L items of a history in an item's score."""

        def fill(request: Any, length: int) -> None:
            request.inputs["history"].CopyFrom(messages.padded(history, length))
            request.inputs["item"].CopyFrom(messages.strings([[item]], rank=1))

        outputs = ("item_ids", "influences", "score")
        response = self._ask_with_length("explain", outputs, fill)
        return Explanation(
            score=messages.floats(response.outputs["score"])[0],
            influences=messages.pairs_of(response, "influences"),
            is_fallback=messages.is_fallback_of(response),
            version=response.model_spec.version.value,
        )

    def _length_and_version(self, signature_name: str) -> tuple[int, int]:
        """L of a signature and the version that has it, from the model's metadata."""
        request = wire.MetadataRequest(metadata_field=[SIGNATURE_DEF])
        request.model_spec.name = self._model_name
        response = self._call(METADATA, request, wire.MetadataResponse)
        value = response.metadata[SIGNATURE_DEF].value
        signatures = wire.SignatureDefMap.FromString(value).signature_def
        shape = signatures[signature_name].inputs["history"].tensor_shape.dim
        if len(shape) != 2 or shape[1].size < 1:
            raise QueryError(
                f"model {self._model_name} has no signature {signature_name} with a "
                "history of fixed length: it is no export of s4rec_tf"
            )
        return int(shape[1].size), response.model_spec.version.value

    def _ask_with_length(
        self, name: str, outputs: Sequence[str], fill: Callable[[Any, int], None]
    ) -> Any:
        """Asks the version whose L was read; anew if it has gone meanwhile.

        Args:
            name: of the signature, whose history has the length L.
            outputs: that are wanted.
            fill: sets the inputs of a request for a length.
        """
        for _ in range(_SWAPS):
            length, version = self._length_and_version(name)
            request = self._request(name, *outputs)
            request.model_spec.version.value = version
            fill(request, length)
            try:
                return self._call(PREDICT, request, wire.PredictResponse)
            except QueryError as error:
                if error.code is not grpc.StatusCode.NOT_FOUND:
                    raise
                failure = error
        raise failure

    def _request(self, signature_name: str, *outputs: str) -> Any:
        request = wire.PredictRequest(output_filter=[*outputs, "is_fallback"])
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature_name
        return request

    def _call(self, method: str, request: Any, response_class: Any) -> Any:
        call = self._channel.unary_unary(
            method, type(request).SerializeToString, response_class.FromString
        )
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            message = f"{self._target}: {error.code().name}: {error.details()}"
            raise QueryError(message, error.code()) from error

"""`python -m serving.client`: one query, against this server or TF Serving itself.

Importing it takes a fraction of a second: it imports gRPC and protobuf, no TensorFlow.
"""

from __future__ import annotations

import argparse
import dataclasses
import struct
import sys
from collections.abc import Sequence
from typing import Any

import grpc

from serving import wire

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
SIGNATURE_DEF = "signature_def"
DEFAULT_TIMEOUT_SECONDS = 10.0
_MAX_RESPONSE_BYTES = 64 * 2**20


class QueryError(RuntimeError):
    """A query that got no answer, or one that is not a recommender's."""


@dataclasses.dataclass(frozen=True)
class Recommendations:
    """What was answered.

    Attributes:
        items: raw item ids with their scores, best first; at most k.
        is_fallback: True where no item of the history is known and the items are the
            popular ones.
        version: the model's version that answered.
    """

    items: list[tuple[str, float]]
    is_fallback: bool
    version: int


class Client:
    """Queries one model; a context manager that closes its channel."""

    def __init__(
        self,
        target: str,
        model_name: str,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        """Connects lazily.

        Args:
            target: HOST:PORT of the gRPC port.
            model_name: the served model's name.
            timeout: seconds for each call.
        """
        self._model_name = model_name
        self._target = target
        self._timeout = timeout
        self._channel = grpc.insecure_channel(
            target,
            options=[("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES)],
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def history_length(self, signature_name: str) -> int:
        """L of a signature, from the model's metadata.

        Raises:
            QueryError: if the server cannot say or the model has no such signature.
        """
        request = wire.MetadataRequest(metadata_field=[SIGNATURE_DEF])
        request.model_spec.name = self._model_name
        response = self._call(METADATA, request, wire.MetadataResponse)
        definitions = wire.SignatureDefMap.FromString(
            response.metadata[SIGNATURE_DEF].value
        )
        signature = definitions.signature_def.get(signature_name)
        shape = signature.inputs["history"].tensor_shape.dim if signature else []
        if len(shape) != 2 or shape[1].size < 1:
            raise QueryError(
                f"model {self._model_name} has no signature {signature_name} with a "
                "history of fixed length: it is no export of s4rec_tf"
            )
        return int(shape[1].size)

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        exclude: Sequence[str] = (),
        include_history: bool = False,
    ) -> Recommendations:
        """The best k items after a history.

        Args:
            history: raw item ids, oldest first, any number.
            k: items wanted; the model answers its own bound at most.
            exclude: raw item ids that must not be answered.
            include_history: whether items of the history may be answered.

        Raises:
            QueryError: if the server does not answer.
        """
        name = "recommend_with_history" if include_history else "recommend"
        length = self.history_length(name)
        earlier, recent = list(history[:-length]), list(history[-length:])
        if not include_history:
            # The model sees, and so excludes, only the last L.
            exclude = [*earlier, *exclude]
        request = wire.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = name
        request.output_filter.extend(["item_ids", "scores", "is_fallback"])
        padded = [""] * (length - len(recent)) + recent
        request.inputs["history"].CopyFrom(_strings([padded]))
        # Led by "": where TF Serving pads a batch's rows, it does so with the first
        # value, which must then mean nothing.
        request.inputs["exclude"].CopyFrom(_strings([["", *exclude]]))
        request.inputs["k"].CopyFrom(_int32([k]))
        response = self._call(PREDICT, request, wire.PredictResponse)
        return _to_recommendations(response)

    def _call(self, method: str, request: Any, response_class: Any) -> Any:
        call = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_class.FromString,
        )
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise QueryError(
                f"{self._target}: {error.code().name}: {error.details()}"
            ) from error


def recommend(
    target: str,
    model_name: str,
    history: Sequence[str],
    k: int = 10,
    *,
    exclude: Sequence[str] = (),
    include_history: bool = False,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Recommendations:
    """One query over a channel of its own; see `Client`.

    Raises:
        QueryError: if the server does not answer.
    """
    with Client(target, model_name, timeout) as client:
        return client.recommend(history, k, exclude, include_history)


def _strings(rows: list[list[str]]) -> Any:
    tensor = wire.Tensor(dtype=wire.DT_STRING)
    tensor.tensor_shape.dim.add(size=len(rows))
    tensor.tensor_shape.dim.add(size=len(rows[0]))
    # An argument of the shell that is no UTF-8 arrives with surrogates.
    tensor.string_val.extend(
        item.encode("utf-8", "surrogateescape") for row in rows for item in row
    )
    return tensor


def _int32(values: list[int]) -> Any:
    tensor = wire.Tensor(dtype=wire.DT_INT32, int_val=values)
    tensor.tensor_shape.dim.add(size=len(values))
    return tensor


def _to_recommendations(response: Any) -> Recommendations:
    outputs = response.outputs
    missing = {"item_ids", "scores", "is_fallback"} - set(outputs)
    if missing:
        raise QueryError(f"the answer lacks {', '.join(sorted(missing))}")
    item_ids = [
        item.decode("utf-8", "surrogateescape")
        for item in outputs["item_ids"].string_val
    ]
    # A server may write numbers as a list or as raw bytes.
    scores = list(outputs["scores"].float_val) or [
        score for (score,) in struct.iter_unpack("<f", outputs["scores"].tensor_content)
    ]
    fallback = outputs["is_fallback"]
    is_fallback = list(fallback.bool_val) or [bool(b) for b in fallback.tensor_content]
    return Recommendations(
        items=[pair for pair in zip(item_ids, scores, strict=True) if pair[0]],
        is_fallback=any(is_fallback),
        version=response.model_spec.version.value,
    )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.client",
        allow_abbrev=False,
        description="Asks a model server for the best items after a history and prints "
        "a line each: item, tab, score.",
    )
    add = parser.add_argument
    add("--target", required=True, metavar="HOST:PORT", help="gRPC address")
    add("--model_name", required=True, help="name of the served model")
    add(
        "--history",
        type=_items,
        required=True,
        metavar="ITEM,ITEM,…",
        help="raw item ids, oldest first; empty for a new user",
    )
    add("--k", type=_positive, default=10, help="items wanted; default 10")
    add(
        "--exclude",
        type=_items,
        default=[],
        metavar="ITEM,ITEM,…",
        help="raw item ids that must not be answered",
    )
    add(
        "--include_history",
        action="store_true",
        help="let items of the history be answered too",
    )
    add(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_SECONDS,
        help=f"seconds for each call; default {DEFAULT_TIMEOUT_SECONDS:g}",
    )
    return parser.parse_args(argv)


def _items(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received: {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    try:
        answer = recommend(
            args.target,
            args.model_name,
            args.history,
            args.k,
            exclude=args.exclude,
            include_history=args.include_history,
            timeout=args.timeout,
        )
    except QueryError as error:
        print(f"query: {error}", file=sys.stderr)
        return 1
    if answer.is_fallback:
        print("query: no item of the history is known: popular items", file=sys.stderr)
    if len(answer.items) < args.k:
        print(
            f"query: the model answers {len(answer.items)} of {args.k} items",
            file=sys.stderr,
        )
    lines = "".join(f"{item}\t{score:.6f}\n" for item, score in answer.items)
    sys.stdout.buffer.write(lines.encode("utf-8", "surrogateescape"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

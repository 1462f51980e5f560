"""What a request asks of a signature, and how its answer begins."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import limits
from serving.status import invalid_argument


def check_keys(signature: meta_graph_pb2.SignatureDef, inputs: Iterable[str]) -> None:
    """The request must hold exactly the signature's inputs.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    sent, wanted = set(inputs), set(signature.inputs)
    if sent == wanted:
        return
    if len(sent) == len(wanted):
        raise invalid_argument(
            f"input tensor alias not found in signature: {min(sent - wanted)}. "
            f"Inputs expected to be in the set {_braces(wanted)}."
        )
    raise invalid_argument(
        f"input size does not match signature: {len(sent)}!={len(wanted)} "
        f"len({_braces(sent)}) != len({_braces(wanted)}). "
        f"Sent extra: {_braces(sent - wanted)}. "
        f"Missing but required: {_braces(wanted - sent)}."
    )


def output_names(
    signature: meta_graph_pb2.SignatureDef, output_filter: Iterable[str]
) -> tuple[str, ...]:
    """The outputs asked for, sorted; all of them without a filter.

    Raises:
        StatusError: INVALID_ARGUMENT for a name that is unknown or given twice.
    """
    names: set[str] = set()
    for name in output_filter:
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_braces(signature.outputs)}."
            )
        if name in names:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
        names.add(name)
    return tuple(sorted(names or signature.outputs))


def response_head(
    request: predict_pb2.PredictRequest, version: int
) -> predict_pb2.PredictResponse:
    """A response without outputs: the model, the signature and the version."""
    response = predict_pb2.PredictResponse()
    spec = response.model_spec
    spec.name = request.model_spec.name
    spec.signature_name = request.model_spec.signature_name or limits.DEFAULT_SIGNATURE
    spec.version.value = version
    return response


def _braces(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"

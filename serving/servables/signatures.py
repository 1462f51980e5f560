"""The inputs and outputs that a request may name."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.core.protobuf import meta_graph_pb2

from serving.status import invalid


def check_keys(signature: meta_graph_pb2.SignatureDef, inputs: Iterable[str]) -> None:
    """Refuses any other inputs than the signature's."""
    sent, wanted = set(inputs), set(signature.inputs)
    if sent == wanted:
        return
    if len(sent) == len(wanted):
        raise invalid(
            f"input tensor alias not found in signature: {min(sent - wanted)}. "
            f"Inputs expected to be in the set {_braces(wanted)}."
        )
    raise invalid(
        f"input size does not match signature: {len(sent)}!={len(wanted)} "
        f"len({_braces(sent)}) != len({_braces(wanted)}). "
        f"Sent extra: {_braces(sent - wanted)}. "
        f"Missing but required: {_braces(wanted - sent)}."
    )


def output_names(
    signature: meta_graph_pb2.SignatureDef, output_filter: Iterable[str]
) -> tuple[str, ...]:
    """The outputs asked for, sorted; all of them without a filter."""
    names: set[str] = set()
    for name in output_filter:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_braces(signature.outputs)}."
            )
        if name in names:
            raise invalid(f"duplicate output tensor alias: {name}")
        names.add(name)
    return tuple(sorted(names or signature.outputs))


def _braces(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"

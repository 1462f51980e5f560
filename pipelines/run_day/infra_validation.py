"""`python -m pipelines.run_day.infra_validation`: does a server answer as the model?

A server process of its own loads the export. It must give every golden request the
answer that the model gave when it was exported.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s4rec_tf.exit_codes import ExitCode

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Tolerances of numbers in answers. Items whose numbers are that close may change
places: a server adds up in another order than the model did."""

_VALUES = ("scores", "influences")
"""Outputs that have a number for each of `item_ids`, the largest first."""

Outputs = Mapping[str, Any]
Ask = Callable[[str, dict[str, Any]], Outputs]
"""Outputs, as arrays, of a signature's inputs as nested lists."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run_day.infra_validation",
        description="Starts a server on an export and replays its golden requests.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version_dir", type=Path, required=True, help="EXPORT/NAME/N, the one version"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="JSON file to write if all is well"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = parse_args(argv)
    from s4rec_tf.atomic_files import write_json

    try:
        count = validate(args.version_dir)
    except (ValueError, OSError) as error:
        lines = str(error).splitlines()
        print("\n".join([*lines[1:], f"infra_validation: {lines[0]}"]), file=sys.stderr)
        return ExitCode.FAILED
    write_json(args.output, {"version": args.version_dir.name, "golden": count})
    return ExitCode.OK


def validate(version: Path) -> int:
    """Serves a version and replays its golden requests; the number of them.

    Raises:
        ValueError: if the version is not served, or an answer is another.
        OSError: if its golden requests cannot be read.
    """
    from pipelines.local_server import LocalServer

    meta = version.parent / ".meta" / version.name
    text = (meta / "golden_requests.jsonl").read_text("utf-8")
    golden = [json.loads(line) for line in text.splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        name = version.parent.name
        with LocalServer(name, version.parent, log) as server:
            replay(golden, _asker(server.grpc_target, name))
    return len(golden)


def replay(golden: Sequence[dict[str, Any]], ask: Ask) -> None:
    """Compares answers with golden ones.

    Raises:
        ValueError: naming the first signature and output that differ.
    """
    if not golden:
        raise ValueError("the export has no golden request")
    for number, line in enumerate(golden, start=1):
        wanted = line["outputs"]
        found = ask(line["signature_name"], line["inputs"])
        # Numbers first: by them the places of items are judged.
        for name in sorted(wanted, key="item_ids".__eq__):
            if found.get(name) is None or not _is_same(name, found, wanted):
                raise ValueError(
                    f"golden request {number} ({line['signature_name']}): {name} must "
                    f"be as the model answered. Received: {_short(found.get(name))}, "
                    f"for {_short(wanted[name])}"
                )


def _is_same(name: str, found: Outputs, wanted: Outputs) -> bool:
    values = next((key for key in _VALUES if key in wanted), None)
    if name == "item_ids" and values:
        rows = (found[name], found[values], wanted[name], wanted[values])
        return all(map(_are_in_order, *rows))
    if name == "item_ids":
        return bool(found[name] == wanted[name])
    if name == "influences":
        # They are in the order of their size; whose they are stands with the items.
        return _are_close(
            abs(found[name]), [list(map(abs, row)) for row in wanted[name]]
        )
    return _are_close(found[name], wanted[name])


def _are_in_order(
    items: Sequence[str],
    values: Sequence[float],
    wanted_items: Sequence[str],
    wanted_values: Sequence[float],
) -> bool:
    """Whether every item has a value that is its own; one that came in, the last."""
    own: dict[str, list[float]] = {}
    for item, value in zip(wanted_items, wanted_values, strict=True):
        own.setdefault(item, []).append(value)
    last = wanted_values[-1:]
    pairs = zip(items, values, strict=True)
    return len(items) == len(wanted_items) and all(
        any(_are_close(value, each) for each in own.get(item, last))
        for item, value in pairs
    )


def _are_close(received: Any, wanted: Any) -> bool:
    import numpy as np

    has_shape = np.shape(received) == np.shape(wanted)
    return has_shape and np.allclose(received, wanted, rtol=RELATIVE, atol=ABSOLUTE)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _asker(target: str, model: str) -> Ask:
    """Asks a server over gRPC."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from s4rec_tf.export import samples

    channel = grpc.insecure_channel(target)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(signature: str, inputs: dict[str, Any]) -> Outputs:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        for key, tensor in samples.to_tensors((signature, inputs)).items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(tensor))
        try:
            outputs = stub.Predict(request, timeout=60).outputs
        except grpc.RpcError as error:
            raise ValueError(
                f"{signature} is not answered: {error.details()}"
            ) from None
        arrays = {name: tf.make_ndarray(proto) for name, proto in outputs.items()}
        return {name: _plain(array) for name, array in arrays.items()}

    return ask


def _plain(array: Any) -> Any:
    import numpy as np

    if array.dtype != object:
        return array
    return np.vectorize(bytes.decode, otypes=[object])(array).tolist()


if __name__ == "__main__":
    sys.exit(main())

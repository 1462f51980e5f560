"""One loaded version: a TensorFlow session over a SavedModel, as in TF Serving."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import limits, metrics
from serving.config_files import BatchingParameters
from serving.servables import tensors, version_files, watch
from serving.servables.batching import Batcher, batchers_of
from serving.servables.graphs import Graph
from serving.servables.padding import Padding
from serving.status import StatusError, code_of, invalid

_TRACEBACK = re.compile(r"^Graph execution error:.*\nNode: [^\n]*\n", re.DOTALL)


class Servable:
    """A version that answers requests, loaded as long as something refers to it.

    It is checked, loaded and warmed up when it is made; if any of that fails, nothing
    stays loaded. `threads` are those inside and between operations, 0 for one a core.
    """

    def __init__(
        self,
        path: Path,
        model_name: str = "",
        batching: BatchingParameters | None = None,
        threads: tuple[int, int] = (0, 0),
        tags: Sequence[str] = (tf.saved_model.SERVING,),
        is_warmed_up: bool = True,
        is_watched: bool = False,
        max_rows: int = limits.DEFAULT_MAX_BATCH_ROWS,
    ) -> None:
        self.path, self.version = path, int(path.name)
        self._model_name, self._max_rows = model_name, max_rows
        self._watch: watch.Watch | None = None
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads[0],
            inter_op_parallelism_threads=threads[1],
        )
        try:
            manifest = version_files.manifest_of(path)
            version_files.verify(path, manifest)
            stated = (manifest or {}).get("padding", {})
            self.paddings = {name: Padding(**entry) for name, entry in stated.items()}
            self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
            self._graph = Graph(self._session, path, tags)
            self.signatures = self._graph.signatures
            self._batchers: Mapping[str, Batcher] = {}
            if batching is not None:
                self._batchers = batchers_of(
                    self._session, self._graph, batching, self.paddings
                )
            if is_warmed_up:
                self._warm_up(path)
            if is_watched:
                self._watch = watch.watch_of(path, manifest or {}, model_name)
        except Exception as error:
            raise _load_error(path, error) from error

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers by the signature that the request names, whatever model it names."""
        name = request.model_spec.signature_name or limits.DEFAULT_SIGNATURE
        if name not in self.signatures:
            text = f'Serving signature key "{name}" not found.'
            raise StatusError(StatusCode.FAILED_PRECONDITION, text)
        signature = self.signatures[name]
        _check_keys(signature, request.inputs)
        arrays = {
            alias: tensors.to_array(alias, request.inputs[alias], info)
            for alias, info in signature.inputs.items()
        }
        outputs = self.run(name, arrays, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = name
        response.model_spec.version.value = self.version
        for alias, array in outputs.items():
            dtype = signature.outputs[alias].dtype
            tensors.write_proto(array, dtype, response.outputs[alias])
        return response

    def run(
        self,
        name: str,
        inputs: Mapping[str, np.ndarray],
        output_filter: Iterable[str] = (),
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature, sorted by name; all of them without a filter."""
        rows = max((a.shape[0] for a in inputs.values() if a.ndim), default=0)
        batcher = self._batchers.get(name)
        most = min(self._max_rows, batcher.max_rows) if batcher else self._max_rows
        if rows > most:
            text = f"Task size {rows} is larger than maximum input batch size {most}"
            raise invalid(text)
        outputs = _output_names(self.signatures[name], output_filter)
        try:
            with metrics.timed(
                metrics.RUNTIME_LATENCY, self._model_name, "Predict", "TF1"
            ):
                values = batcher.run(inputs) if batcher else None
                if values is None:
                    values = self._alone(name, outputs, inputs)
        except tf.errors.OpError as error:
            # TensorFlow quotes the server's own lines of code.
            text = _TRACEBACK.sub("", error.message)
            raise StatusError(code_of(error.error_code), text) from error
        except UnicodeDecodeError as error:
            # TensorFlow quoted bytes of the request in its message.
            raise invalid("the input cannot be parsed") from error
        found = {alias: tensors.as_array(values[alias]) for alias in outputs}
        if self._watch and watch.is_watched(self.signatures[name]):
            self._watch.observe(inputs, values)
        return found

    def _alone(
        self, name: str, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]
    ) -> Mapping[str, Any]:
        """The outputs without joining the request to others."""
        feeds, found = self._graph.feeds[name], self._graph.fetches[name]
        if not set(outputs) <= set(found):
            text = f'Serving signature key "{name}" answers no tensors.'
            raise StatusError(StatusCode.FAILED_PRECONDITION, text)
        fetches = {alias: found[alias] for alias in outputs}
        sent = {feeds[alias]: array for alias, array in inputs.items()}
        return self._session.run(fetches, sent)

    def _warm_up(self, path: Path) -> None:
        """Runs the warm-up records; their answers must be finite."""
        for request in version_files.warmup_requests(path):
            with metrics.timed(metrics.WARMUP_LATENCY, str(path), "OK"):
                response = self.predict(request)
            for alias, proto in response.outputs.items():
                if not np.isfinite([*proto.float_val, *proto.double_val]).all():
                    raise StatusError(
                        StatusCode.DATA_LOSS,
                        f"{path}: signature {response.model_spec.signature_name} "
                        f"answers {alias} that are not finite to a warm-up record",
                    )


def _load_error(path: Path, error: Exception) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return StatusError(code_of(error.error_code), f"{path}: {error.message}")
    return StatusError(StatusCode.UNKNOWN, f"{path}: {error}")


def _check_keys(signature: meta_graph_pb2.SignatureDef, inputs: Iterable[str]) -> None:
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


def _output_names(
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

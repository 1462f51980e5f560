"""One loaded version: a TensorFlow session over a SavedModel, as in TF Serving."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2

from serving import limits, metrics
from serving.servables import custom_ops, signatures, tensors, version_files
from serving.servables.batching import Batcher, batchers_of
from serving.servables.graphs import Graph
from serving.servables.padding import paddings_of
from serving.status import StatusError, code_of, invalid_argument

if TYPE_CHECKING:
    from serving.config_files import BatchingParameters

_TRACEBACK = re.compile(r"^Graph execution error:.*\nNode: [^\n]*\n", re.DOTALL)


class Servable:
    """A version that answers requests until it is retired and the last one is done.

    Attributes:
        version: its number.
        signatures: signature definitions by name.
        paddings: how rows of an input may be lengthened.
    """

    def __init__(
        self,
        path: Path,
        model_name: str = "",
        batching: BatchingParameters | None = None,
        threads: tuple[int, int] = (0, 0),
        tags: Sequence[str] = (tf.saved_model.SERVING,),
        is_warmed_up: bool = True,
    ) -> None:
        """Checks the files, loads them, runs the warm-up records.

        Args:
            path: BASE/NAME/N.
            model_name: the name in metrics.
            batching: how requests are joined; None runs each alone.
            threads: of the session, inside an operation and between operations; 0 for
                one a core.
            tags: those of the graph to load.
            is_warmed_up: whether warm-up records are run.

        Raises:
            StatusError: if any of the three fails, or a weight or a warm-up answer is
                not finite; nothing stays loaded.
        """
        self.version = int(path.name)
        self._model_name = model_name
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False
        self._callables: dict[tuple[str, tuple[str, ...]], Any] = {}
        version_files.verify_digests(path)
        version_files.verify_weights(path)
        custom_ops.load(version_files.manifest_of(path))
        self.paddings = paddings_of(path)
        self._session = tf.compat.v1.Session(
            graph=tf.Graph(),
            config=tf.compat.v1.ConfigProto(
                intra_op_parallelism_threads=threads[0],
                inter_op_parallelism_threads=threads[1],
            ),
        )
        try:
            self._graph = Graph(self._session, path, tags)
            self.signatures = self._graph.signatures
            self._batchers: Mapping[str, Batcher] = {}
            if batching is not None:
                self._batchers = batchers_of(
                    self._session, self._graph, batching, self.paddings
                )
            if is_warmed_up:
                self._warm_up(path)
        except Exception as error:
            self._session.close()
            raise _load_error(path, error) from error

    def acquire(self) -> bool:
        """Takes a use of the session; False if it is already retired."""
        with self._lock:
            if self._retired:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Gives a use back; the last one of a retired version closes it."""
        with self._lock:
            self._users -= 1
            close = self._retired and self._users == 0
        if close:
            self._session.close()

    def retire(self) -> None:
        """Takes no new requests; closes when those in flight are done."""
        with self._lock:
            self._retired = True
            close = self._users == 0
        if close:
            self._session.close()

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Answers by the signature that the request names, whatever model it names.

        Raises:
            StatusError: with TF Serving's codes, see `serving/README.md`.
        """
        name = request.model_spec.signature_name or limits.DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise StatusError(
                StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        signature = self.signatures[name]
        signatures.check_keys(signature, request.inputs)
        arrays = [
            tensors.to_array(alias, request.inputs[alias], signature.inputs[alias])
            for alias in sorted(signature.inputs)
        ]
        outputs = signatures.output_names(signature, request.output_filter)
        values = self._run(name, outputs, arrays)
        response = signatures.response_head(request, self.version)
        for alias, value in zip(outputs, values, strict=True):
            tensors.write_proto(
                value, signature.outputs[alias].dtype, response.outputs[alias]
            )
        return response

    def _warm_up(self, path: Path) -> None:
        """Runs the warm-up records; their answers must be finite."""
        for request in version_files.warmup_requests(path):
            start = time.perf_counter()
            response = self.predict(request)
            micros = 1e6 * (time.perf_counter() - start)
            metrics.WARMUP_LATENCY.labels(str(path), "OK").observe(micros)
            for alias, proto in response.outputs.items():
                if not all(map(math.isfinite, (*proto.float_val, *proto.double_val))):
                    raise StatusError(
                        StatusCode.DATA_LOSS,
                        f"{path}: signature {response.model_spec.signature_name} "
                        f"answers {alias} that are not finite to a warm-up record",
                    )

    def _run(
        self, name: str, outputs: tuple[str, ...], arrays: list[np.ndarray]
    ) -> list[np.ndarray]:
        start = time.perf_counter()
        try:
            batcher = self._batchers.get(name)
            values = batcher.run(outputs, arrays) if batcher else None
            if values is None:
                values = list(self._callable(name, outputs)(*arrays))
        except tf.errors.OpError as error:
            raise StatusError(code_of(error.error_code), _text_of(error)) from error
        except UnicodeDecodeError as error:
            # TensorFlow quoted bytes of the request in its message.
            raise invalid_argument("the input cannot be parsed") from error
        micros = 1e6 * (time.perf_counter() - start)
        latency = metrics.RUNTIME_LATENCY.labels(self._model_name, "Predict", "TF1")
        latency.observe(micros)
        return values

    def _callable(self, name: str, outputs: tuple[str, ...]) -> Any:
        key = (name, outputs)
        # Two threads may make the same one: harmless, the later stays.
        if key not in self._callables:
            try:
                fetches = [self._graph.fetch(name, alias) for alias in outputs]
            except KeyError as error:
                raise StatusError(
                    StatusCode.FAILED_PRECONDITION,
                    f'Serving signature key "{name}" answers no tensors.',
                ) from error
            aliases = sorted(self.signatures[name].inputs)
            self._callables[key] = self._session.make_callable(
                fetches, [self._graph.feed(name, alias) for alias in aliases]
            )
        return self._callables[key]


def _text_of(error: tf.errors.OpError) -> str:
    """What TensorFlow's operation said, without the server's own lines of code."""
    return _TRACEBACK.sub("", error.message)


def _load_error(path: Path, error: Exception) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return StatusError(code_of(error.error_code), f"{path}: {error.message}")
    return StatusError(StatusCode.UNKNOWN, f"{path}: {error}")

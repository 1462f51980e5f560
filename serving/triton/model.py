"""Triton's Python backend over an export: one signature, batches as Triton forms them.

It is NAME/N/model.py of a model repository, beside the export in NAME/N/savedmodel and
below NAME/config.pbtxt. It needs nothing of this project.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# Triton's stub does not look there by itself.
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402

_EXPORT = Path(__file__).parent / "savedmodel"
# Triton's data types by TensorFlow's, of an export's inputs and outputs.
_TYPES = {1: "TYPE_FP32", 3: "TYPE_INT32", 7: "TYPE_STRING", 10: "TYPE_BOOL"}


class TritonPythonModel:
    """The class that Triton's Python backend calls."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Adds the signature's inputs, and its outputs or those that are named."""
        given = config.as_dict()
        graph = (_EXPORT / "saved_model.pb").read_bytes()
        saved = saved_model_pb2.SavedModel.FromString(graph)
        signature = saved.meta_graphs[0].signature_def[_signature_name(given)]
        for name, info in signature.inputs.items():
            config.add_input(_described(name, info))
        for name in [entry["name"] for entry in given["output"]] or signature.outputs:
            config.add_output(_described(name, signature.outputs[name]))
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the export and finds the signature's tensors."""
        config = json.loads(args["model_config"])
        self._outputs = [entry["name"] for entry in config["output"]]
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        meta_graph = tf.compat.v1.saved_model.loader.load(
            self._session, [tf.saved_model.SERVING], str(_EXPORT)
        )
        signature = meta_graph.signature_def[_signature_name(config)]
        find = self._session.graph.get_tensor_by_name
        self._inputs = {n: find(info.name) for n, info in signature.inputs.items()}
        self._answer = self._session.make_callable(
            [find(signature.outputs[name].name) for name in self._outputs],
            [*self._inputs.values()],
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers a batch of requests by one call of the model."""
        get = pb_utils.get_input_tensor_by_name
        columns = [[get(r, name).as_numpy() for r in requests] for name in self._inputs]
        ends = np.cumsum([len(rows) for rows in columns[0]])[:-1]
        try:
            values = self._answer(*map(_joined, columns, self._inputs.values()))
        except tf.errors.OpError as error:
            refusal = pb_utils.TritonError(error.message)
            return [pb_utils.InferenceResponse(error=refusal) for _ in requests]
        parts = [np.split(v[:, None] if v.ndim == 1 else v, ends) for v in values]
        return [
            pb_utils.InferenceResponse(list(map(pb_utils.Tensor, self._outputs, rows)))
            for rows in zip(*parts, strict=True)
        ]


def _joined(rows: list[np.ndarray], tensor: tf.Tensor) -> np.ndarray:
    array = np.concatenate(rows)
    return array.ravel() if tensor.shape.rank == 1 else array


def _signature_name(config: dict[str, Any]) -> str:
    return str(config["parameters"]["signature"]["string_value"])


def _described(name: str, info: Any) -> dict[str, Any]:
    """A tensor as Triton describes it; the batch's dimension is Triton's own."""
    sizes = [dim.size for dim in info.tensor_shape.dim][1:]
    # A tensor of rank 1 has one value a row.
    return {"name": name, "data_type": _TYPES[info.dtype], "dims": sizes or [1]}

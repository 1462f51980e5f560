"""Triton's Python backend over an export: one signature, batches as Triton forms them.

It is NAME/N/model.py of a model repository, beside `config.pbtxt`, whose parameters
name the SavedModel and the signature. It needs nothing of this project.
"""

import json
import os
import sys
from typing import Any

# Triton's stub does not look there by itself.
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402


class TritonPythonModel:
    """The class that Triton's Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the export and finds the signature's tensors."""
        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        meta_graph = tf.compat.v1.saved_model.loader.load(
            self._session, [tf.saved_model.SERVING], parameters["saved_model"]
        )
        signature = meta_graph.signature_def[parameters["signature"]]
        find = self._session.graph.get_tensor_by_name
        self._answer = self._session.make_callable(
            [find(signature.outputs[name].name) for name in self._outputs],
            [find(signature.inputs[name].name) for name in self._inputs],
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers a batch of requests by one call of the model."""
        get = pb_utils.get_input_tensor_by_name
        columns = [[get(r, name).as_numpy() for r in requests] for name in self._inputs]
        ends = np.cumsum([len(rows) for rows in columns[0]])[:-1]
        try:
            values = self._answer(*(np.concatenate(rows) for rows in columns))
        except tf.errors.OpError as error:
            refusal = pb_utils.TritonError(error.message)
            return [pb_utils.InferenceResponse(error=refusal) for _ in requests]
        parts = [np.split(value, ends) for value in values]
        return [
            pb_utils.InferenceResponse(list(map(pb_utils.Tensor, self._outputs, rows)))
            for rows in zip(*parts, strict=True)
        ]

    def finalize(self) -> None:
        """Frees the model."""
        self._session.close()

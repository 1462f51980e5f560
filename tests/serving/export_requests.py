"""Requests to the stand-in export, and what a right answer is."""

import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.s4rec_tf.export.standin import MAX_LENGTH

HISTORY = [""] * (MAX_LENGTH - 2) + ["item-3", "item-9"]


def predict_request(signature="serving_default", name="demo", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        if not isinstance(value, np.ndarray):
            dtype = np.int32 if key == "k" else object
            value = np.asarray(value, dtype)
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def example(history):
    values = tf.train.BytesList(value=[item.encode() for item in history if item])
    features = {"history": tf.train.Feature(bytes_list=values)}
    features = tf.train.Features(feature=features)
    return tf.train.Example(features=features).SerializeToString()


def strings(proto):
    array = tf.make_ndarray(proto)
    return [[item.decode() for item in row] for row in array.tolist()]


def status_of(call):
    """Code and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def good_answer_is_right(server, served_export):
    request = predict_request(history=[HISTORY])
    response = server.prediction.Predict(request, timeout=30)
    expected = [f"item-{i}" for i in served_export.expected([3, 9], [3, 9])[0]]
    assert strings(response.outputs["item_ids"]) == [expected]


def golden(served_export):
    path = served_export.export_dir / ".meta" / "1" / "golden_requests.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

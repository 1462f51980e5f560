"""Requests as a stranger's client would write them, by TF Serving's own messages."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

TIMEOUT = 30


def request_of(model, signature="", output_filter=(), **inputs):
    """A PredictRequest; inputs are arrays or what NumPy makes arrays of."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.output_filter.extend(output_filter)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def predict(server, model, signature="", output_filter=(), **inputs):
    """The outputs as arrays."""
    request = request_of(model, signature, output_filter, **inputs)
    response = server.prediction.Predict(request, timeout=TIMEOUT)
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def rest(server, model, body, path=""):
    """Status and document of a `:predict`; the body may be text."""
    return server.http("POST", f"/v1/models/{model}{path}:predict", body)


def predictions(server, model, body, path=""):
    """The rows or columns of an answer that must be one."""
    status, document = rest(server, model, body, path)
    assert status == 200, document
    (answer,) = document.values()
    return answer


def refusal(call, *args, **kwargs):
    """Code's name and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    return caught.value.code().name, caught.value.details()


def floats(*values):
    return np.asarray(values, np.float32)

"""APIs that are not there are refused in TF Serving's words."""

import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    regression_pb2,
)

from tests.serving.acceptance.asking import TIMEOUT, refusal

WAS = "Was: tensorflow/serving/predict"
EXPECTED = "Expected {0} signature method_name to be tensorflow/serving/{1}. " + WAS


def spec_of(request, signature=""):
    request.model_spec.name = "half_plus_two"
    request.model_spec.signature_name = signature
    return request


@pytest.mark.parametrize(
    ("method", "request_class", "noun"),
    [
        ("Classify", classification_pb2.ClassificationRequest, "classification"),
        ("Regress", regression_pb2.RegressionRequest, "regression"),
    ],
)
def test_classify_and_regress(server, method, request_class, noun):
    call = getattr(server.prediction, method)
    expected = EXPECTED.format(noun, method.lower())
    received = refusal(call, spec_of(request_class()), timeout=TIMEOUT)
    assert received == ("INVALID_ARGUMENT", expected)
    request = spec_of(request_class(), "nope")
    code, text = refusal(call, request, timeout=TIMEOUT)
    assert code == "INVALID_ARGUMENT"
    assert text == "No signature was found with the name: nope"
    request.model_spec.name = "nope"
    assert refusal(call, request, timeout=TIMEOUT)[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "noun"), [("classify", "classification"), ("regress", "regression")]
)
def test_classify_and_regress_rest(server, method, noun):
    path, body = f"/v1/models/half_plus_two:{method}", {"examples": [{}]}
    expected = EXPECTED.format(noun, method)
    assert server.http("POST", path, body) == (400, {"error": expected})
    status, _ = server.http("POST", path.replace("half_plus_two", "nope"), body)
    assert status == 404


def test_multi_inference(server):
    request = inference_pb2.MultiInferenceRequest()
    call = server.prediction.MultiInference
    assert refusal(call, request, timeout=TIMEOUT)[0] == "INVALID_ARGUMENT"
    task = spec_of(request.tasks.add())
    task.method_name = "tensorflow/serving/classify"
    code, text = refusal(call, request, timeout=TIMEOUT)
    assert (code, text[-len(WAS) :]) == ("INVALID_ARGUMENT", WAS)
    task.method_name = "tensorflow/serving/predict"
    code, text = refusal(call, request, timeout=TIMEOUT)
    assert code == "UNIMPLEMENTED"
    assert text == "Unsupported signature method_name: tensorflow/serving/predict"


@pytest.mark.parametrize(
    "method",
    [
        "/tensorflow.serving.SessionService/SessionRun",
        "/tensorflow.ProfilerService/Profile",
    ],
)
def test_services_that_are_not_there(own_server, method):
    call = own_server.channel.unary_unary(
        method, request_serializer=bytes, response_deserializer=bytes
    )
    assert refusal(call, b"", timeout=TIMEOUT)[0] == "UNIMPLEMENTED"

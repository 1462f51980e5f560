"""Ports, sockets, channel arguments and the page of metrics."""

import urllib.request

import grpc
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.acceptance.asking import (
    TIMEOUT,
    floats,
    predict,
    refusal,
    request_of,
)
from tests.serving.acceptance.conftest import MESSAGE_LIMIT, METRICS_PATH


def test_predict_uds(server):
    with grpc.insecure_channel(f"unix:{server.socket}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = request_of("half_plus_two", x=floats(2))
        response = stub.Predict(request, timeout=TIMEOUT)
    assert list(response.outputs["y"].float_val) == [3.0]


def test_grpc_channel_arguments(server):
    fits = np.zeros([1, MESSAGE_LIMIT // 8], np.float32)
    assert predict(server, "half_plus_two", x=fits)["y"].shape == fits.shape
    larger = request_of("half_plus_two", x=np.zeros([1, MESSAGE_LIMIT], np.float32))
    code, text = refusal(server.prediction.Predict, larger, timeout=TIMEOUT)
    assert code == "RESOURCE_EXHAUSTED" and str(MESSAGE_LIMIT) in text


def test_deadline_is_kept(server):
    """Also where the model has answered: nothing is sent after the deadline."""
    request = request_of(
        "half_plus_two", x=np.zeros([1, MESSAGE_LIMIT // 8], np.float32)
    )
    code, _ = refusal(server.prediction.Predict, request, timeout=1e-4)
    assert code == "DEADLINE_EXCEEDED"
    assert predict(server, "half_plus_two", x=floats(2))["y"] == [3.0]


def test_prometheus_endpoint(server):
    predict(server, "half_plus_two", x=floats(2))
    url = f"http://{server.rest_address}{METRICS_PATH}"
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        text = response.read().decode()
    assert "# TYPE" in text
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    # Prometheus' reader spells counters as OpenMetrics does.
    counts = {
        sample.labels["status"]: sample.value
        for sample in samples
        if sample.name == ":tensorflow:serving:request_count_total"
        and sample.labels["model_name"] == "half_plus_two"
    }
    assert counts["OK"] >= 1

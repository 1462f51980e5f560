"""Batching changes no answer: alone, and among strangers sent at the same time."""

import random
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import processes
from tests.serving.acceptance import models
from tests.serving.acceptance.asking import TIMEOUT, floats, request_of
from tests.serving.acceptance.test_export import golden
from tests.serving.export_requests import example, predict_request

PARAMETERS = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 20000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 1000 }
allowed_batch_sizes: 1
allowed_batch_sizes: 8
allowed_batch_sizes: 32
"""


def start(kind, folder):
    path = folder.root / "batching_parameters.txt"
    path.write_text(PARAMETERS)
    flags = [
        f"--model_config_file={folder.config}",
        f"--monitoring_config_file={folder.monitoring}",
        "--enable_batching",
        f"--batching_parameters_file={path}",
    ]
    log = folder.root / f"{kind}-batching.log"
    if kind == "own":
        return processes.start_own(log, *flags)
    return processes.start_binary(log, "demo", *flags)


@pytest.fixture(
    scope="module",
    params=["own", pytest.param("binary", marks=pytest.mark.tfserving)],
)
def batching(request, folder):
    server = start(request.param, folder)
    yield server
    server.close()


def strings(*rows):
    return np.array(rows, object)


def crowd():
    """Requests of one row or few, of several shapes for each model, by model."""
    rows = {
        "half_plus_two": [{"x": floats(n)} for n in range(6)],
        "half_plus_three_graph": [{"x": floats(n)} for n in range(3)],
        "colours": [{"colour": strings(c)} for c in ("red", "blue", "pink")],
        "sequential_keras": [{"x": np.float32([[n, 1, 2]])} for n in range(4)],
        "mirrored_keras": [{"x": np.float32([[n]])} for n in range(4)],
        "identity_string": [{"x": strings(["a"] * n)} for n in range(1, 4)],
        "identity_int8": [{"x": np.int8([n])} for n in range(4)],
        "many_inputs": [
            {
                "words": strings(["ab"] * n),
                "numbers": np.full([1, 1 + n % 2], n, np.float32),
                "weight": floats(n),
            }
            for n in range(1, 5)
        ],
    }
    requests = [
        request_of(model, **inputs)
        for model, several in rows.items()
        for inputs in several
    ]
    for n in range(1, 5):
        row = np.arange(n, 2 * n, dtype=np.float32)
        for signature in ("last", "mean"):
            requests.append(request_of("whole_batch", signature, x=row[np.newaxis]))
        requests.append(request_of("whole_batch", "share", x=floats(n, 2, 3)))
        requests.append(request_of("whole_batch", "norm", x=floats(n, 8)))
        requests.append(request_of("whole_batch", "total", x=floats(n, 8)))
        scaled = {"x": floats(n), "factor": np.float32(n)}
        requests.append(request_of("whole_batch", "scale", **scaled))
        # Not of the declared rank.
        requests.append(request_of("half_plus_two", x=np.float32([[n], [n]])))
    return requests


def same(received, expected):
    assert set(received.outputs) == set(expected.outputs)
    for name, proto in expected.outputs.items():
        array, other = map(tf.make_ndarray, (proto, received.outputs[name]))
        assert array.shape == other.shape
        if array.dtype == object:
            assert array.tolist() == other.tolist()
        else:
            np.testing.assert_allclose(other, array, rtol=1e-4, atol=1e-5)


def ask_at_once(server, requests):
    def ask(request):
        return server.prediction.Predict(request, timeout=TIMEOUT)

    with futures.ThreadPoolExecutor(64) as pool:
        return list(pool.map(ask, requests))


def test_answers_alone_and_among_strangers_are_the_same(server_alone, batching):
    requests = crowd()
    alone = [server_alone(request) for request in requests]
    batched = [
        batching.prediction.Predict(request, timeout=TIMEOUT) for request in requests
    ]
    for received, expected in zip(batched, alone, strict=True):
        same(received, expected)
    draw = random.Random(0)
    for _ in range(3):
        order = [n for n in range(len(requests)) for _ in range(3)]
        draw.shuffle(order)
        received = ask_at_once(batching, [requests[n] for n in order])
        for n, answer in zip(order, received, strict=True):
            same(answer, alone[n])


@pytest.fixture
def server_alone(own_server):
    """Answers of the embedded server without batching."""
    return lambda request: own_server.prediction.Predict(request, timeout=TIMEOUT)


def test_answers_of_the_export_among_strangers(batching, served_export):
    lines = golden(served_export)
    requests = []
    for line in lines:
        inputs = dict(line["inputs"])
        if "examples" in inputs:
            inputs["examples"] = [example(row) for row in inputs["examples"]]
        requests.append(predict_request(line["signature_name"], **inputs))
    order = list(range(len(lines))) * 4
    random.Random(1).shuffle(order)
    received = ask_at_once(batching, [requests[n] for n in order])
    for n, answer in zip(order, received, strict=True):
        for name, values in lines[n]["outputs"].items():
            array = tf.make_ndarray(answer.outputs[name])
            if array.dtype == object:
                texts = [[item.decode() for item in row] for row in array.tolist()]
                assert texts == values
            else:
                np.testing.assert_allclose(array, values, rtol=1e-4, atol=1e-5)


def test_predict_batching(batching):
    """TF Serving's own test of the name."""
    request = request_of("half_plus_two", x=floats(2))
    response = batching.prediction.Predict(request, timeout=TIMEOUT)
    assert list(response.outputs["y"].float_val) == [3.0]
    assert response.model_spec.version.value == int(models.VERSION)

"""APIs that are not there are refused, and the refusal says so."""

import pytest

from tests.serving.acceptance.asking import TIMEOUT, refusal

PREDICTION = "/tensorflow.serving.PredictionService/"


@pytest.mark.parametrize(
    "method",
    [
        PREDICTION + "Classify",
        PREDICTION + "Regress",
        PREDICTION + "MultiInference",
        "/tensorflow.serving.SessionService/SessionRun",
        "/tensorflow.ProfilerService/Profile",
    ],
)
def test_calls_that_are_not_there(own_server, method):
    call = own_server.channel.unary_unary(
        method, request_serializer=bytes, response_deserializer=bytes
    )
    assert refusal(call, b"", timeout=TIMEOUT)[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_classify_and_regress_rest(server, method):
    path, body = f"/v1/models/half_plus_two:{method}", {"examples": [{}]}
    expected = f"{method} is not there: ask by :predict"
    assert server.http("POST", path, body) == (501, {"error": expected})

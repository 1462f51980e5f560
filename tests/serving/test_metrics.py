"""Requests are counted under their status."""

import asyncio

import pytest
from grpc import StatusCode

from serving import metrics
from serving.status import StatusError


def counts():
    name = ':tensorflow:serving:request_count{model_name="metrics-test",status='
    lines = metrics.page().splitlines()
    found = [line.removeprefix(name) for line in lines if line.startswith(name)]
    return dict(line.split("} ") for line in found)


def test_a_request_counts_once_under_its_status():
    with metrics.request("metrics-test", "Predict", "GRPC"):
        pass
    gone = asyncio.CancelledError()
    for error in (StatusError(StatusCode.NOT_FOUND, "no"), KeyError("bug"), gone):
        with pytest.raises(type(error)):
            with metrics.request("metrics-test", "Predict", "GRPC"):
                raise error
    names = ("OK", "NOT_FOUND", "INTERNAL", "CANCELLED")
    assert counts() == {f'"{name}"': "1.0" for name in names}

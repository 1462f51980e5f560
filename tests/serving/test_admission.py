"""Calls beyond the capacity are shed, and those within it are answered."""

import time
from concurrent import futures

import grpc

from serving.frontends import admission
from tests.serving import processes
from tests.serving.export_requests import HISTORY, predict_request


def test_bucket_fills_at_its_rate():
    now = [0.0]
    limit = admission.RateLimit(1000, lambda: now[0])
    assert [limit.take() for _ in range(22)] == [True] * 20 + [False] * 2
    now[0] = 0.001
    assert [limit.take() for _ in range(2)] == [True, False]
    now[0] = 60.0
    assert [limit.take() for _ in range(22)] == [True] * 20 + [False] * 2


def test_few_a_second_may_come_together():
    limit = admission.RateLimit(100, lambda: 0.0)
    assert [limit.take() for _ in range(12)] == [True] * 10 + [False] * 2
    limit = admission.RateLimit(3, lambda: 0.0)
    assert [limit.take() for _ in range(5)] == [True] * 3 + [False] * 2


def test_rate_below_one_a_second_is_kept_to():
    now = [0.0]
    limit = admission.RateLimit(0.5, lambda: now[0])
    taken = []
    for second in range(10):
        now[0] = float(second)
        taken.append(limit.take())
    assert taken == [True, False] * 5


def test_requests_beyond_the_rate_are_shed_and_the_rest_answered(
    served_export, tmp_path
):
    flags = ("--max_requests_per_second", 20)
    server = processes.start_embedded(
        "demo", served_export.export_dir, tmp_path / "log", *flags
    )
    request = predict_request(history=[HISTORY])

    def ask(_):
        try:
            server.prediction.Predict(request, timeout=30)
            return None
        except grpc.RpcError as error:
            return error

    try:
        start = time.monotonic()
        with futures.ThreadPoolExecutor(4) as pool:
            errors = list(pool.map(ask, range(400)))
        seconds = time.monotonic() - start
        # Metadata and status are not shed.
        assert server.status("demo")[1].state == 30
    finally:
        server.close()
    answered = errors.count(None)
    assert 1 <= answered <= 20 * seconds + 11
    assert {error.code() for error in errors if error} == {
        grpc.StatusCode.RESOURCE_EXHAUSTED
    }
    assert "max_requests_per_second" in next(e for e in errors if e).details()

"""What is noted is counted, by whichever thread and however late somebody looks."""

import asyncio
from concurrent import futures

import pytest
from grpc import StatusCode

from serving import metrics
from serving.status import StatusError


def test_many_notes_of_many_threads_are_all_counted():
    counter = metrics.Counter("/c", "kind")
    histogram = metrics.Histogram("/h", [1.0, 2.0], "kind")

    def note(number):
        counter.add("even" if number % 2 == 0 else "odd")
        histogram.observe(number % 3, "all")

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(9000)))
    assert sorted(counter.lines()) == [':c{kind="even"} 4500', ':c{kind="odd"} 4500']
    assert list(histogram.lines()) == [
        ':h_bucket{kind="all",le="1"} 6000',
        ':h_bucket{kind="all",le="2"} 9000',
        ':h_bucket{kind="all",le="+Inf"} 9000',
        ':h_sum{kind="all"} 9000',
        ':h_count{kind="all"} 9000',
    ]


def test_notes_that_nobody_looks_at_do_not_pile_up():
    counter = metrics.Counter("/c")
    for _ in range(100_000):
        counter.add()
    assert len(counter._news) < 2000


def counts():
    name = ':tensorflow:serving:request_count{model_name="metrics-test",status='
    lines = metrics.page().splitlines()
    found = [line.removeprefix(name) for line in lines if line.startswith(name)]
    return dict(line.split("} ") for line in found)


def test_a_request_counts_once_under_its_status():
    with metrics.Request("metrics-test", True, "Predict", "GRPC"):
        pass
    gone = asyncio.CancelledError()
    for error in (StatusError(StatusCode.NOT_FOUND, "no"), KeyError("bug"), gone):
        with pytest.raises(type(error)):
            with metrics.Request("metrics-test", True, "Predict", "GRPC"):
                raise error
    names = ("OK", "NOT_FOUND", "INTERNAL", "CANCELLED")
    assert counts() == {f'"{name}"': "1" for name in names}

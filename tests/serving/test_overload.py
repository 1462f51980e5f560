"""More calls at once than a server takes on: each has its answer or its status."""

import collections
import contextlib
import threading
from concurrent import futures

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving import inside, processes
from tests.serving.export_requests import HISTORY, predict_request

CALLS, CONNECTIONS = 4000, 40


@contextlib.contextmanager
def connection(server, number):
    """A connection of its own; channels of equal options would share one."""
    options = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
    with grpc.insecure_channel(server.grpc_address, options=options) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def test_calls_beyond_the_capacity_are_exhausted_and_never_cancelled(
    served_export, tmp_path
):
    flags = ("--max_concurrent_requests", 5)
    server = processes.start_embedded(
        "demo", served_export.export_dir, tmp_path / "log", *flags
    )
    # Long enough in the model that calls come faster than they go.
    request = predict_request(history=[HISTORY] * 500)
    stack = contextlib.ExitStack()
    codes, all_there = collections.Counter(), threading.Semaphore(0)

    def note(call):
        code = call.code()
        codes[code.name if code else "OK"] += 1
        all_there.release()

    try:
        server.prediction.Predict(request, timeout=60)
        stubs = [stack.enter_context(connection(server, n)) for n in range(CONNECTIONS)]
        for number in range(CALLS):
            ask = stubs[number % CONNECTIONS].Predict.future
            ask(request, timeout=120).add_done_callback(note)
        for _ in range(CALLS):
            assert all_there.acquire(timeout=150)
    finally:
        stack.close()
        server.close()
    assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}, codes
    assert codes["OK"] >= 5


def test_rest_is_shed_by_the_same_bound(served_export):
    flags = ("--model_name", "demo", "--model_base_path", served_export.export_dir)
    with inside.server(*flags, "--max_concurrent_requests", 1) as server:
        body = {"instances": [HISTORY] * 100}

        def ask(_):
            return server.http("POST", "/v1/models/demo:predict", body)

        found = {}
        with futures.ThreadPoolExecutor(8) as pool:
            # Eight at a time, until two of them meet.
            while 429 not in found:
                found |= dict(pool.map(ask, range(8)))
        assert set(found) == {200, 429}
        assert "--max_concurrent_requests" in found[429]["error"]

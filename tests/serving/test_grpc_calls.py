"""Calls in the event loop: how many are in flight, and what their faults become."""

import asyncio
import threading

import pytest
from grpc import StatusCode
from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

from serving.frontends.admission import Admission
from serving.frontends.grpc_port import Calls
from serving.status import StatusError


class Aborted(Exception):
    """The exception that gRPC's `abort` raises."""


class Context:
    """Remembers why a call was aborted."""

    code = details = None

    async def abort(self, code, details):
        self.code, self.details = code, details
        raise Aborted


class Api:
    """Answers Predict when it is let, and every status with a bug."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.asked = []

    def predict(self, request):
        self.asked.append(request.model_spec.name)
        self.may_answer.wait(20)
        if not request.model_spec.name:
            raise StatusError(StatusCode.NOT_FOUND, "no such model")
        return request

    def status(self, request):
        raise KeyError("item-3")

    metadata = reload = status


def handler(api, admission, method):
    class Details:
        pass

    details = Details()
    details.method, details.invocation_metadata = method, ()
    return Calls(api, admission).service(details).unary_unary


PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


def named(name):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    return request.SerializeToString()


async def outcome(behavior, data):
    context = Context()
    try:
        return await behavior(data, context)
    except Aborted:
        return context.code, context.details


def test_calls_beyond_the_limit_are_shed_and_their_places_are_free_again():
    async def scenario():
        api = Api()
        predict = handler(api, Admission(2, 2), PREDICT)
        calls = [
            asyncio.create_task(outcome(predict, named(name))) for name in ("a", "")
        ]
        await asyncio.sleep(0)
        code, details = await outcome(predict, named("c"))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert "--max_concurrent_requests" in details
        api.may_answer.set()
        assert await asyncio.gather(*calls) == [
            named("a"),
            (StatusCode.NOT_FOUND, "no such model"),
        ]
        assert await outcome(predict, named("d")) == named("d")

    asyncio.run(scenario())


def test_a_call_whose_caller_has_left_is_not_run():
    """As gRPC cancels the handler of a call when its deadline passes."""

    async def scenario():
        api = Api()
        predict = handler(api, Admission(1, 9), PREDICT)
        first, late = (
            asyncio.create_task(outcome(predict, named(name))) for name in ("a", "b")
        )
        await asyncio.sleep(0.1)
        late.cancel()
        await asyncio.sleep(0)
        api.may_answer.set()
        assert await first == named("a")
        assert await outcome(predict, named("c")) == named("c")
        assert late.cancelled()
        assert api.asked == ["a", "c"]

    asyncio.run(scenario())


@pytest.mark.parametrize("method", [PREDICT, STATUS])
def test_bytes_that_are_no_message_are_named(method):
    async def scenario():
        behavior = handler(Api(), Admission(1, 2), method)
        code, details = await outcome(behavior, b"\xff")
        assert code is StatusCode.INTERNAL
        assert details == "the request is no message of this call"

    asyncio.run(scenario())


def test_a_bug_is_internal_and_quotes_nothing():
    async def scenario():
        behavior = handler(Api(), Admission(1, 2), STATUS)
        request = get_model_status_pb2.GetModelStatusRequest()
        found = await outcome(behavior, request.SerializeToString())
        assert found == (StatusCode.INTERNAL, "internal: KeyError")

    asyncio.run(scenario())

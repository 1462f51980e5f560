"""Calls that wait are answered together, and each gets its own answer."""

import asyncio
import threading

import pytest

from serving.config_files import BatchingParameters
from serving.contract import Code, StatusError
from serving.hand_over import HandOver

WAIT_SECONDS = 30


class Model:
    """Answers by `<message>`, when it is let."""

    def __init__(self):
        self.tasks = []
        self.is_busy = threading.Semaphore(0)
        self.may_answer = threading.Semaphore(0)

    def __call__(self, messages):
        self.tasks.append(messages)
        self.is_busy.release()
        assert self.may_answer.acquire(timeout=WAIT_SECONDS)
        return [b"<" + message + b">" for message in messages]


async def until_busy(model):
    assert await asyncio.to_thread(model.is_busy.acquire, timeout=WAIT_SECONDS)


async def ask(hand_over, *messages):
    """Tasks that wait for the answers, all of them handed over."""
    calls = [asyncio.create_task(hand_over.answer(message)) for message in messages]
    await asyncio.sleep(0)
    return calls


def test_what_comes_while_the_model_is_busy_is_its_next_task():
    async def scenario():
        model = Model()
        hand_over = HandOver(model, BatchingParameters(num_batch_threads=1))
        first = await ask(hand_over, b"1")
        await until_busy(model)
        later = await ask(hand_over, b"2", b"3", b"4")
        model.may_answer.release(2)
        answers = await asyncio.gather(*first, *later)
        assert answers == [b"<1>", b"<2>", b"<3>", b"<4>"]
        assert model.tasks == [[b"1"], [b"2", b"3", b"4"]]

    asyncio.run(scenario())


def test_a_task_holds_no_more_than_a_batch():
    async def scenario():
        model = Model()
        parameters = BatchingParameters(max_batch_size=2, num_batch_threads=1)
        hand_over = HandOver(model, parameters)
        model.may_answer.release(100)
        calls = await ask(hand_over, *(b"%d" % number for number in range(7)))
        answers = await asyncio.gather(*calls)
        assert answers == [b"<%d>" % number for number in range(7)]
        assert max(map(len, model.tasks)) <= 2

    asyncio.run(scenario())


def test_as_many_tasks_at_a_time_as_the_scheduler_has_threads():
    async def scenario():
        model = Model()
        hand_over = HandOver(model, BatchingParameters(num_batch_threads=2))
        calls = []
        for message in (b"1", b"2"):
            calls += await ask(hand_over, message)
            await until_busy(model)
        calls += await ask(hand_over, b"3")
        await asyncio.sleep(0.1)
        assert model.tasks == [[b"1"], [b"2"]]
        model.may_answer.release(3)
        assert await asyncio.gather(*calls) == [b"<1>", b"<2>", b"<3>"]

    asyncio.run(scenario())


def test_calls_beyond_the_queue_are_unavailable_and_those_in_it_are_answered():
    async def scenario():
        model = Model()
        parameters = BatchingParameters(
            max_batch_size=2, num_batch_threads=1, max_enqueued_batches=1
        )
        hand_over = HandOver(model, parameters)
        calls = await ask(hand_over, b"1")
        await until_busy(model)
        calls += await ask(hand_over, b"2", b"3")
        with pytest.raises(StatusError, match="submitted is full") as error:
            await hand_over.answer(b"4")
        assert error.value.code is Code.UNAVAILABLE
        model.may_answer.release(2)
        assert await asyncio.gather(*calls) == [b"<1>", b"<2>", b"<3>"]

    asyncio.run(scenario())


def test_a_caller_who_has_gone_is_left_out():
    async def scenario():
        model = Model()
        hand_over = HandOver(model, BatchingParameters(num_batch_threads=1))
        (worked_on,) = await ask(hand_over, b"1")
        await until_busy(model)
        gone, stays = await ask(hand_over, b"2", b"3")
        worked_on.cancel()
        gone.cancel()
        await asyncio.sleep(0)
        model.may_answer.release(2)
        assert await stays == b"<3>"
        assert model.tasks == [[b"1"], [b"3"]]

    asyncio.run(scenario())


def test_a_task_that_fails_fails_its_calls_and_no_other():
    async def scenario():
        outcomes = [StatusError(Code.UNAVAILABLE, "full"), None, [b"good"]]

        def answer_all(messages):
            outcome = outcomes.pop(0)
            if isinstance(outcome, StatusError):
                raise outcome
            return outcome

        hand_over = HandOver(answer_all, BatchingParameters(num_batch_threads=1))
        with pytest.raises(StatusError, match="full"):
            await hand_over.answer(b"1")
        assert await hand_over.answer(b"2") is None
        assert await hand_over.answer(b"3") == b"good"

    asyncio.run(scenario())

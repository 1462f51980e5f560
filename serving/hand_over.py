"""Calls that came while others were worked on are handed to the scheduler together.

A thread and a session's run for every call would cost Python more than the model costs.
Calls wait in the event loop instead, while TensorFlow's batch scheduler has as many
tasks as it has threads; what has come when it is done with one is its next task.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from serving.config_files import BatchingParameters
from serving.contract import Code, StatusError

AnswerAll = Callable[[list[bytes]], Sequence[bytes] | None]


class _Call(NamedTuple):
    message: bytes
    answer: asyncio.Future[bytes | None]


class HandOver:
    """Calls of one kind, all of one event loop."""

    def __init__(self, answer_all: AnswerAll, parameters: BatchingParameters) -> None:
        """Takes what answers a task, and the scheduler's parameters.

        Args:
            answer_all: answers to messages, in their order; None if one is wrong. Runs
                in a thread.
            parameters: a task has `max_batch_size` calls at most, `num_batch_threads`
                tasks are in work at a time, and `max_enqueued_batches` may wait.
        """
        self._answer_all = answer_all
        self._most_calls = parameters.max_batch_size
        self._most_threads = parameters.num_batch_threads
        self._most_waiting = parameters.max_enqueued_batches * self._most_calls
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []
        self._threads = 0

    async def answer(self, message: bytes) -> bytes | None:
        """The answer to a message.

        Returns:
            None if it or another of its task is wrong: the call must go another way.

        Raises:
            StatusError: UNAVAILABLE if too many calls wait; what `answer_all` raises.
        """
        if len(self._waiting) >= self._most_waiting:
            raise StatusError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        loop = asyncio.get_running_loop()
        call = _Call(message, loop.create_future())
        with self._lock:
            self._waiting.append(call)
            is_thread_needed = self._threads < self._most_threads
            self._threads += is_thread_needed
        if is_thread_needed:
            loop.run_in_executor(None, self._work, loop)
        return await call.answer

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Task after task, till no call waits: the loop is busy with answers."""
        while calls := self._take():
            answers, error = None, None
            try:
                answers = self._answer_all([call.message for call in calls])
            except Exception as failure:
                error = failure
            loop.call_soon_threadsafe(_deliver, calls, answers, error)

    def _take(self) -> list[_Call]:
        with self._lock:
            while self._waiting:
                first = self._waiting[: self._most_calls]
                del self._waiting[: self._most_calls]
                # Callers that no longer wait have cancelled theirs.
                if calls := [call for call in first if not call.answer.done()]:
                    return calls
            self._threads -= 1
            return []


def _deliver(
    calls: list[_Call], answers: Sequence[bytes] | None, error: Exception | None
) -> None:
    for number, call in enumerate(calls):
        if call.answer.done():
            continue
        if error:
            call.answer.set_exception(error)
        else:
            call.answer.set_result(answers[number] if answers else None)

"""SIGTERM and SIGINT as requests, which a training meets where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from s4rec_tf.exit_codes import ExitCode

FAREWELL = "stopped by a signal; rerun the command, it resumes where it was"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A signal has asked for an end; not an error, so that nothing takes it for one."""


class StopRequests:
    """Raises `Stopped` at a signal: at once, or where a block ends that must not break.

    As a context it receives the process' signals, and must be entered in the main
    thread; otherwise nothing is ever received.

    Attributes:
        received: whether there was a signal.
    """

    def __init__(self) -> None:
        self.received = False
        self._waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        return self

    def listen(self) -> None:
        """Receives the signals, again if a library has taken them meanwhile."""
        for number in _SIGNALS:
            signal.signal(number, self._receive)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # A second one must not interrupt what the first led to.
        is_first, self.received = not self.received, True
        if is_first and not self._waits:
            raise Stopped

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        """A block in which a signal is noted only."""
        before, self._waits = self._waits, True
        try:
            yield
        finally:
            self._waits = before

    @contextlib.contextmanager
    def now(self) -> Iterator[None]:
        """A block, maybe within `later`, that a signal interrupts, an earlier one too.

        Raises:
            Stopped: if there was a signal.
        """
        before, self._waits = self._waits, False
        try:
            if self.received:
                raise Stopped
            yield
        finally:
            self._waits = before


def run_until_stopped(command: str, run: Callable[[StopRequests], int]) -> int:
    """Runs a command that a signal may end.

    Args:
        command: its name, for the last line.
        run: the command; returns its exit code.

    Returns:
        the exit code, `STATE_SAVED` if a signal has ended the command.
    """
    with StopRequests() as stop:
        try:
            return run(stop)
        except Stopped:
            print(f"{command}: {FAREWELL}", file=sys.stderr)
            return ExitCode.STATE_SAVED

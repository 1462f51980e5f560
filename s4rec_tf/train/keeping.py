"""State within an epoch: when it is written, and what it holds beside the weights."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from s4rec_tf.train.stop_requests import Stopped, StopRequests

WITHIN_EPOCH = "within_epoch"
"""Key of a checkpoint's state that was left within an epoch."""

Sums = dict[str, list[Any]]
"""By loss term the variables of its mean: numbers, or lists of one a replica."""


@dataclasses.dataclass(frozen=True)
class Keeping:
    """When a training writes its state within an epoch.

    Attributes:
        minutes: between two times; 0 leaves it to `steps`.
        steps: of an epoch between two times; 0 leaves it to `minutes`.
        stop: signals at which it is written too, and the training ends.
        clock: seconds.
    """

    minutes: float = 10.0
    steps: int = 0
    stop: StopRequests = dataclasses.field(default_factory=StopRequests)
    clock: Callable[[], float] = time.monotonic


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in an epoch a training is.

    Attributes:
        step: steps of the epoch behind.
        seconds: that they took.
        sums: of the loss terms since the epoch began.
    """

    step: int = 0
    seconds: float = 0.0
    sums: Sums = dataclasses.field(default_factory=dict)


class Kept(Protocol):
    """The part of a trainer that `StepEnds` asks."""

    agrees_every: int
    """Steps between two times that all processes ask each other."""

    def sums(self) -> Sums:
        """Sums of the loss terms since the epoch began."""

    def agree_on(self, is_due: bool, stops: bool) -> tuple[bool, bool]:
        """The decisions for all processes: the chief's, and anybody's."""


class StepEnds:
    """Writes the state between steps where it is due, and stops where a signal asks.

    Args:
        trainer: whose state it is.
        write: writes the state; receives a `Place` as a dictionary.
        keeping: when to write.
        place: where the first epoch is resumed.
    """

    def __init__(
        self,
        trainer: Kept,
        write: Callable[[dict[str, Any]], None],
        keeping: Keeping,
        place: Place,
    ) -> None:
        self.place, self.stop = place, keeping.stop
        self._trainer, self._write, self._keeping = trainer, write, keeping
        self._written = place.step
        self._due = self._stops = False
        self._began = self._last = keeping.clock()

    def begin_epoch(self) -> None:
        """Starts the clock of an epoch, or of what is left of one."""
        self._began = self._keeping.clock()

    def end_epoch(self) -> None:
        """Notes that the state at the epoch's end is written."""
        self.place, self._written = Place(), 0
        self._last = self._keeping.clock()

    def seconds(self) -> float:
        """Seconds of the epoch until now, without those when nothing ran."""
        return self.place.seconds + self._keeping.clock() - self._began

    def step(self, step: int) -> contextlib.AbstractContextManager[None]:
        """A context for what follows `step` steps of the epoch.

        A signal interrupts it if nothing would be lost: a step may take long that is
        compiled first.
        """
        return self.stop.now() if step == self._written else contextlib.nullcontext()

    def next_due(self, step: int) -> int:
        """The number of steps at which a state is due next by `Keeping.steps`."""
        every = self._keeping.steps
        return (step // every + 1) * every if every else 1 << 62

    def wants(self, step: int) -> bool:
        """Whether this object wants to be called after `step` steps."""
        keeping = self._keeping
        is_due = bool(keeping.steps) and step % keeping.steps == 0
        if step % self._trainer.agrees_every and not is_due:
            return False
        waited = keeping.clock() - self._last
        is_due |= bool(keeping.minutes) and waited >= 60 * keeping.minutes
        self._due, self._stops = self._trainer.agree_on(is_due, self.stop.received)
        return self._due or self._stops

    def __call__(self, step: int) -> None:
        """Does what `wants` has found.

        Raises:
            Stopped: if a signal has asked for an end.
        """
        self.write(step)
        if self._stops:
            raise Stopped

    def write(self, step: int) -> None:
        """Writes the state after `step` steps of the epoch, unless that is done."""
        if step != self._written:
            place = Place(step, round(self.seconds(), 2), self._trainer.sums())
            self._write(dataclasses.asdict(place))
        self._written, self._last = step, self._keeping.clock()

"""Times the steps of a training loop after a warm-up; nothing but Python needed."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

_MIN_STEPS = 5
_RUN_SECONDS = 0.5
_EVEN_STEPS = 25
_EVEN = 3.0
_LONGEST_WARM_UP = 8


class Stopwatch:
    """Counts the ends of steps until enough is timed.

    The warm-up goes on while steps are uneven, since something is compiled then: until
    none of the last 25 took three times as long as their median; for eight times as
    long as asked for, at most.

    Args:
        warm_up: seconds that are not timed, at least.
        seconds: seconds that are.
        max_steps: fewer steps will do; otherwise at least 5 are timed.
    """

    def __init__(self, warm_up: float, seconds: float, max_steps: int) -> None:
        self.warm_up, self._asked, self.max_steps = warm_up, seconds, max_steps
        self.min_steps = min(_MIN_STEPS, max_steps)
        self.began = time.perf_counter()
        self.warm_times: list[float] = []
        self.times: list[float] = []
        self._cpu_began = 0.0

    def step_ended(self) -> bool:
        """Notes the time; True if enough is timed."""
        now = time.perf_counter()
        if self.times:
            self.times.append(now)
            is_long = self.seconds >= self._asked
            return self.steps >= self.max_steps or (
                is_long and self.steps >= self.min_steps
            )
        self.warm_times.append(now)
        if self._is_warm(now - self.began):
            # The end of the last step of the warm-up starts the clock.
            self.times.append(now)
            self._cpu_began = time.process_time()
        return False

    def _is_warm(self, passed: float) -> bool:
        if len(self.warm_times) < self.min_steps or passed < self.warm_up:
            return False
        if passed >= _LONGEST_WARM_UP * self.warm_up:
            return True
        wanted = min(_EVEN_STEPS, self.max_steps)
        taken = _differences(self.warm_times[-wanted - 1 :])
        return len(taken) == wanted and max(taken) <= _EVEN * statistics.median(taken)

    @property
    def steps(self) -> int:
        """Steps that were timed."""
        return max(len(self.times) - 1, 0)

    @property
    def seconds(self) -> float:
        """Seconds that they took."""
        return self.times[-1] - self.times[0]

    @property
    def cpu_step_ms(self) -> float:
        """Processor time of a step on all cores, milliseconds; asked for at the end."""
        return 1e3 * (time.process_time() - self._cpu_began) / self.steps

    @property
    def median_step_ms(self) -> float:
        """Median of a step, milliseconds."""
        return 1e3 * statistics.median(_differences(self.times))


def _differences(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


def time_runs(
    run: Callable[[int], Any],
    warm_up: float,
    seconds: float,
    max_steps: int,
    longest: int,
) -> dict[str, float]:
    """Times training that does many steps before it is waited for.

    Args:
        run: trains so many steps, and waits for them.
        warm_up: seconds that are not timed; compiling is not among them.
        seconds: seconds that are.
        max_steps: fewer steps will do.
        longest: steps of a run, at most; fewer where that takes over half a second.

    Returns:
        steps and seconds after the warm-up, and the median step.
    """
    run(1)
    began = time.perf_counter()
    run(1)
    fitting = int(_RUN_SECONDS / (time.perf_counter() - began))
    size = max(1, min(fitting, longest, max_steps))
    stopwatch = Stopwatch(warm_up, seconds, max_steps // size)
    run(size)
    while not stopwatch.step_ended():
        run(size)
    return {
        "steps": stopwatch.steps * size,
        "seconds": stopwatch.seconds,
        "median_step_ms": stopwatch.median_step_ms / size,
    }


def best_seconds(run: Callable[[], Any], seconds: float) -> float:
    """The shortest of the runs that fit into a time; a first one is not timed."""
    run()
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def covered_seconds(
    intervals: list[tuple[float, float]], until: float = float("inf")
) -> float:
    """Length of what intervals cover before a time; where they overlap, once."""
    total, covered_to = 0.0, float("-inf")
    for start, end in sorted(intervals):
        end = min(end, until)
        total += max(end - max(start, covered_to), 0.0)
        covered_to = max(covered_to, end)
    return total

"""Times the steps of a training loop after a warm-up; nothing but Python needed."""

from __future__ import annotations

import itertools
import statistics
import time

_MIN_STEPS = 5


class Stopwatch:
    """Told of every step's end, says when enough is timed.

    Args:
        warm_up: seconds that are not timed.
        seconds: seconds that are.
        max_steps: fewer steps will do; otherwise at least 5 are timed.
    """

    def __init__(self, warm_up: float, seconds: float, max_steps: int) -> None:
        self.warm_up, self._asked, self.max_steps = warm_up, seconds, max_steps
        self.min_steps = min(_MIN_STEPS, max_steps)
        self.began, self.warm_steps = time.perf_counter(), 0
        self.times: list[float] = []

    def step_ended(self) -> bool:
        """Notes the time; True if enough is timed."""
        now = time.perf_counter()
        if self.times:
            self.times.append(now)
            is_long = self.seconds >= self._asked
            return self.steps >= self.max_steps or (
                is_long and self.steps >= self.min_steps
            )
        self.warm_steps += 1
        if self.warm_steps >= self.min_steps and now - self.began >= self.warm_up:
            # The end of the last step of the warm-up starts the clock.
            self.times.append(now)
        return False

    @property
    def steps(self) -> int:
        """Steps that were timed."""
        return max(len(self.times) - 1, 0)

    @property
    def seconds(self) -> float:
        """Seconds that they took."""
        return self.times[-1] - self.times[0]

    @property
    def median_step_ms(self) -> float:
        """Median of a step, milliseconds."""
        return 1e3 * statistics.median(
            after - before for before, after in itertools.pairwise(self.times)
        )

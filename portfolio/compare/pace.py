"""How far a contest is: tasks done, time so far, and how long the rest will take as the tasks went so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from portfolio.reports.wording import count, duration


class Pace:
    """Counts tasks as they are planned, skipped and done; a joint run counts as many as it learns at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._planned: Counter[str] = Counter()  # by method, tasks in all
        self._passed: Counter[str] = Counter()  # of those, done or no longer needed
        self._timed: Counter[str] = Counter()  # of those, the ones behind `_seconds`
        self._seconds: dict[str, float] = {}

    def plan(self, method: str, tasks: int) -> None:
        self._planned[method] += tasks

    def skip(self, method: str, tasks: int, seconds: float | None = None) -> None:
        """So many tasks need not be done: they were, taking so long, or never will be."""
        self._passed[method] += tasks
        if seconds is not None:
            self._time(method, tasks, seconds)

    def done(self, method: str, tasks: int, seconds: float) -> None:
        self._passed[method] += tasks
        self._time(method, tasks, seconds)

    def __str__(self) -> str:
        """`12 of 90 tasks, 3 min 10 s so far, about 20 min left`, in whole or rough numbers."""
        passed, planned = self._passed.total(), self._planned.total()
        so_far = f"{count(passed)} of {count(planned)} tasks, {duration(self._clock() - self._began)} so far"
        left = self.seconds_left()
        return so_far if left is None else f"{so_far}, about {duration(left)} left"

    def seconds_left(self) -> float | None:
        """What is left, each method at its own pace, at the mean of all where it has none yet; None if no pace is known."""
        if not self._seconds:
            return None
        usual = sum(self._seconds.values()) / self._timed.total()
        return sum(
            (planned - self._passed[method])
            * (self._seconds[method] / self._timed[method] if method in self._seconds else usual)
            for method, planned in self._planned.items()
        )

    def _time(self, method: str, tasks: int, seconds: float) -> None:
        self._timed[method] += tasks
        self._seconds[method] = self._seconds.get(method, 0.0) + seconds

"""Several tasks of a sequence learned at once; they join the portfolio one by one, in the order of the sequence.

A task's adapter and statistics depend on no other task, so workers may learn them in any order. What depends on the tasks
before it (the router's sums, thresholds, the results row) is computed as it joins, by the process that calls. So the
portfolio is the one that a single worker makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from portfolio.errors import PortfolioError
from portfolio.records import AdapterRecord

if TYPE_CHECKING:
    from portfolio.candidates import Candidate, Job
    from portfolio.training import Progress


@dataclass(frozen=True, slots=True)
class Prepared:
    """So many more rows went through the bare base."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """A training came this far."""

    done: int
    total: int
    loss: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Said:
    """Something a user should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The task cannot be learned."""

    error: PortfolioError


Message: TypeAlias = "Prepared | Stepped | Said | Failed | Candidate"  # the last two end the work on a task


class Crew(Protocol):
    """Workers, known by numbers from 0."""

    @property
    def size(self) -> int: ...

    def give(self, worker: int, job: Job) -> None:
        """Have an idle worker learn a task."""

    def hear(self, *, wait: bool) -> list[tuple[int, Message]]:
        """What workers said of their tasks since they were last heard; if wanted, waits until there is something."""


def add_side_by_side(
    jobs: Iterator[Job],
    crew: Crew,
    join: Callable[[Candidate], AdapterRecord],
    progress: Callable[[str], Progress],
) -> list[AdapterRecord]:
    """Have tasks learned, and joined in the order of the jobs. At most as many as there are workers wait to join.

    Raises:
        What came of a task that cannot be learned: those before it have joined by then, and none after it will.
    """
    added: list[AdapterRecord] = []
    ahead: deque[_Learning] = deque()  # given and not joined, in the order of the jobs
    at_work: dict[int, _Learning] = {}

    def give() -> None:
        for worker in range(crew.size):
            has_room = len(ahead) <= crew.size and not any(isinstance(one.outcome, PortfolioError) for one in ahead)
            if worker not in at_work and has_room and (job := next(jobs, None)) is not None:
                at_work[worker] = _Learning(job.name, progress(job.name))
                ahead.append(at_work[worker])
                crew.give(worker, job)

    while True:
        give()
        if not ahead:
            return added
        if at_work:
            for worker, message in crew.hear(wait=ahead[0].outcome is None):
                if at_work[worker].is_over_with(message):
                    del at_work[worker]
            give()  # nobody is idle while the first one joins
        outcome = ahead[0].outcome
        if isinstance(outcome, PortfolioError):
            raise outcome
        if outcome is not None:
            added.append(join(outcome))
            first = ahead.popleft()
            first.progress.say(f"{first.name}: joined the portfolio")


def named(name: str, error: PortfolioError) -> PortfolioError:
    """The same error, saying of which task."""
    return type(error)(f"task {name!r}: {error}")


class _Learning:
    """One task as its worker tells of it."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.name = name
        self.progress = progress
        self.outcome: Candidate | PortfolioError | None = None  # None while it is being learned
        self._last: Stepped | None = None

    def is_over_with(self, message: Message) -> bool:
        """Whether this was the worker's last word on it."""
        if isinstance(message, Prepared):
            self.progress.prepared(message.rows)
        elif isinstance(message, Stepped):
            self._last = message
            self.progress.step(done=message.done, total=message.total, loss=message.loss, score=message.score)
        elif isinstance(message, Said):
            self.progress.say(message.message)
        elif isinstance(message, Failed):
            self.outcome = named(self.name, message.error)
        else:
            self.outcome = message
            self._finish(message.adapters[-1].validation_score)
        return self.outcome is not None

    def _finish(self, score: float) -> None:
        """A training that stopped early has no more steps to do."""
        last = self._last
        if last is not None and last.done < last.total:
            self.progress.step(done=last.total, total=last.total, loss=last.loss, score=score)

"""What happened to each task since it was added: changes, reasons and intervals, as far as its test rows were kept.

The rows of a step of the results matrices are those of the latest moment at which it was the last one. Steps are read
one after the other, and each is let go before the next, as a step holds the rows of all tasks before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from portfolio.outcomes import Outcomes
from portfolio.records import Moment, Snapshot
from portfolio.reports import metrics
from portfolio.reports.bootstrap import mean_change_interval
from portfolio.reports.changes import (
    Both,
    Pair,
    Reading,
    both_times,
    change_of_rows,
    change_of_scores,
    oracle_pair,
    routed_pair,
    same_rows,
)
from portfolio.reports.findings import Change, Interval, Loss
from portfolio.reports.losses import loss_of
from portfolio.reports.measured_on import NOTHING_MOVED, MeasuredOn
from portfolio.reports.metrics import Array

Load = Callable[[str], Outcomes]  # called with a digest

MANY_TASKS = 200  # of more than these, only the steps of those that lost most are read
WORST_TASKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceAdded:
    """Of one results matrix."""

    changes: tuple[Change, ...]  # one a task, in their order
    bwt_interval: Interval | None
    forgetting_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptRows:
    """What the rows say that were kept."""

    oracle: SinceAdded
    routed: SinceAdded
    losses: tuple[Loss, ...]  # most lost first
    now: Outcomes | None  # of the last step


def since_added(
    snapshot: Snapshot,
    load: Load | None,
    oracle: Array,
    routed: Array,
    rows: Sequence[int],
    measured: MeasuredOn = NOTHING_MOVED,
) -> KeptRows:
    """What the kept rows say of every task; only the scores, where none are to be read.

    Args:
        oracle, routed: the results matrices, (T, T).
        rows: test rows of each task.
        measured: on which of them.
    """
    tasks = [task.name for task in snapshot.tasks]
    gathered = _Gathered(scores=oracle, reading=oracle_pair), _Gathered(scores=routed, reading=routed_pair)
    last = last_kept(snapshot, measured)
    now = None if load is None or last is None else load(last.outcomes)
    losses: list[Loss] = []
    if load is not None and last is not None and now is not None:
        wanted = _wanted(routed, [one.best for one in gathered])
        for step, task, both in _read(snapshot, load, wanted, last, now, measured):
            for one in gathered:
                one.take(step, task, tasks[task], both)
            change = gathered[1].changes[task] if step == task else None
            if change is not None and change.change is not None and change.change < 0:
                losses.append(loss_of(both, now, change))
    of_oracle, of_routed = (one.since_added(tasks, rows) for one in gathered)
    losses.sort(key=lambda loss: loss.change)
    return KeptRows(oracle=of_oracle, routed=of_routed, losses=tuple(losses), now=now)


def rows_by_step(snapshot: Snapshot) -> Mapping[str, Moment]:
    """Per task: the moment whose rows are those of its step; none where nothing was kept of that step."""
    latest = {moment.step: moment for moment in snapshot.moments}
    return {task.name: latest[task.name] for task in snapshot.tasks if task.name in latest}


def last_kept(snapshot: Snapshot, measured: MeasuredOn) -> Moment | None:
    """The moment whose rows are those of the last step; None where another version answers since, whose were not kept."""
    last = rows_by_step(snapshot).get(snapshot.tasks[-1].name) if snapshot.tasks else None
    return last if last is not None and last.generation >= measured.moved_at else None


@dataclass(slots=True, kw_only=True, eq=False)
class _Gathered:
    """What the rows say of one results matrix, gathered step by step."""

    scores: Array
    reading: Reading
    changes: dict[int, Change] = field(default_factory=dict)  # per task: from its own step to now
    added: dict[int, Pair] = field(default_factory=dict)  # the rows behind them
    forgotten: dict[int, Pair] = field(default_factory=dict)  # per task: from now to its best step
    best: tuple[int | None, ...] = ()  # per task: that step

    def __post_init__(self) -> None:
        self.best = _best_steps(self.scores)

    def take(self, step: int, task: int, name: str, both: Both) -> None:
        before, after = (right.copy() for right in self.reading(both))  # not a part of what is to be let go
        if step == task:
            self.added[task] = Pair(before, after)
            self.changes[task] = change_of_rows(name, self.added[task])
        if step == self.best[task]:
            self.forgotten[task] = Pair(after, before)

    def since_added(self, tasks: Sequence[str], rows: Sequence[int]) -> SinceAdded:
        changes = (
            self.changes.get(task)
            or change_of_scores(name, rows[task], _known(self.scores[task, task]), _known(self.scores[-1, task]))
            for task, name in enumerate(tasks)
        )
        return SinceAdded(
            changes=tuple(changes),
            bwt_interval=_interval(metrics.bwt_of_tasks(self.scores), self.added),
            forgetting_interval=_interval(metrics.forgetting_of_tasks(self.scores), self.forgotten),
        )


def _known(score: float) -> float | None:
    return None if math.isnan(score) else float(score)


def _best_steps(scores: Array) -> tuple[int | None, ...]:
    """Per task: the earliest step before the last at which it scored best, as forgetting counts it."""
    seen = np.tril(np.ones(scores.shape, dtype=bool))[:-1]
    earlier = np.where(seen & ~np.isnan(scores[:-1]), scores[:-1], -np.inf)
    if not len(earlier):
        return (None,) * len(scores)
    best, is_known = earlier.argmax(axis=0).tolist(), (earlier.max(axis=0) > -np.inf).tolist()
    return tuple(step if known else None for step, known in zip(best, is_known, strict=True))


def _wanted(routed: Array, best: Sequence[Sequence[int | None]]) -> dict[int, set[int]]:
    """The steps to read, and the tasks to read of each."""
    count = len(routed)
    if count > MANY_TASKS:
        changes = routed[-1] - np.diagonal(routed)
        return {int(task): {int(task)} for task in np.argsort(changes, kind="stable")[:WORST_TASKS]}
    wanted = {task: {task} for task in range(count)}
    for steps in best:
        for task, step in enumerate(steps):
            if step is not None:
                wanted[step].add(task)
    return wanted


def _read(
    snapshot: Snapshot, load: Load, wanted: Mapping[int, set[int]], last: Moment, now: Outcomes, measured: MeasuredOn
) -> Iterator[tuple[int, int, Both]]:
    """Step, task, and the task's rows at that step and now: of those wanted, as many as can be compared."""
    steps = rows_by_step(snapshot)
    for step, tasks in sorted(wanted.items()):
        moment = steps.get(snapshot.tasks[step].name)
        if moment is None:
            continue
        then = now if moment == last else load(moment.outcomes)
        for task in sorted(tasks):
            name = snapshot.tasks[task].name
            both = both_times(name, then, now)
            is_same = measured.same(name, moment.generation, last.generation)
            if both is not None and is_same and same_rows(name, snapshot.moments, moment, last):
                yield step, task, both


def _interval(measured: Array, pairs: Mapping[int, Pair]) -> Interval | None:
    """Of the mean over the tasks that were measured; None where the rows of one of them were not kept."""
    counted = np.flatnonzero(~np.isnan(measured)).tolist()
    if not counted or any(task not in pairs for task in counted):
        return None
    return mean_change_interval([pairs[task] for task in counted])

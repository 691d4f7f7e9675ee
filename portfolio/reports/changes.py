"""What a task gained or lost between two moments, on the same test rows, with a 95 % interval.

Two moments speak of the same rows of a task unless it was added anew between them: then its split is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from portfolio.outcomes import UNASKED, Bool, Outcomes, TaskOutcomes
from portfolio.records import Moment
from portfolio.reports.bootstrap import change_interval
from portfolio.reports.findings import Change


class Both(NamedTuple):
    """The same test rows of a task at two moments."""

    then: TaskOutcomes
    now: TaskOutcomes


class Pair(NamedTuple):
    """Whether each of N rows was answered rightly before, and after; (N,) both."""

    before: Bool
    after: Bool


Reading = Callable[[Both], Pair]


def oracle_pair(both: Both) -> Pair:
    """With the task given: every row."""
    return Pair(both.then.own_right, both.now.own_right)


def routed_pair(both: Both) -> Pair:
    """Routed: the rows whose answer is known both times."""
    known = (both.then.right != UNASKED) & (both.now.right != UNASKED)
    return Pair(both.then.right[known] == 1, both.now.right[known] == 1)


def both_times(task: str, then: Outcomes, now: Outcomes) -> Both | None:
    """The task's rows at both; None where it was not measured at one of them, or on another number of rows."""
    before, after = then.of(task), now.of(task)
    if before is None or after is None or len(before.right) != len(after.right):
        return None
    return Both(before, after)


def same_rows(task: str, moments: Sequence[Moment], before: Moment, after: Moment) -> bool:
    """Whether the task's split is the same at both: it was not added, perhaps again, between them."""
    return not any(
        moment.action == "add-task"
        and moment.subject == task
        and before.generation < moment.generation <= after.generation
        for moment in moments
    )


def change_of_rows(task: str, pair: Pair) -> Change:
    """From the rows themselves; without scores where there is no row."""
    if not len(pair.before):
        return Change(task=task, rows=0, before=None, after=None, change=None, interval=None)
    before, after = float(pair.before.mean()), float(pair.after.mean())
    return Change(
        task=task,
        rows=len(pair.before),
        before=before,
        after=after,
        change=after - before,
        interval=change_interval(pair.before, pair.after),
    )


def change_of_scores(task: str, rows: int, before: float | None, after: float | None) -> Change:
    """From two scores alone, where the rows behind them were not kept: without an interval."""
    change = None if before is None or after is None else after - before
    measured = 0 if change is None else rows
    return Change(task=task, rows=measured, before=before, after=after, change=change, interval=None)

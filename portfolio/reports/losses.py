"""Why a task lost, routed: which of its test rows, to which task, by how much, and what would return.

A row is lost that was right then and is wrong now. It either went to another task, its taker, or goes to its own task,
whose adapter says another label. A row that a taker has would return if the taker were gone, about: where its own task
is the second choice and the own adapter is right.
"""

from __future__ import annotations

import numpy as np

from portfolio.errors import DataError
from portfolio.outcomes import UNASKED, Bool, Outcomes
from portfolio.reports.changes import Both, both_times, change_of_rows, routed_pair
from portfolio.reports.findings import Change, Loss, Taker


def loss(task: str, then: Outcomes, now: Outcomes) -> Loss:
    """What became of the rows of a task between two moments that speak of the same rows.

    Raises:
        DataError: it was not measured at both, or on another number of rows.
    """
    both = both_times(task, then, now)
    if both is None:
        raise DataError(f"expected the same test rows of {task!r} at both moments, got {_counts(task, then, now)}")
    return loss_of(both, now, change_of_rows(task, routed_pair(both)))


def loss_of(both: Both, now: Outcomes, change: Change) -> Loss:
    """The same where rows and change are at hand."""
    before, after = both.then.right, both.now.right
    lost = (before == 1) & (after == 0)
    home = both.now.chosen == now.number(change.task)
    takers = [_taker(both, now, int(number), lost) for number in np.unique(both.now.chosen[lost & ~home])]
    return Loss(
        task=change.task,
        rows=len(after),
        change=0.0 if change.change is None else change.change,
        interval=change.interval,
        lost=_numbers(lost),
        won=int(((before == 0) & (after == 1)).sum()),
        takers=tuple(sorted(takers, key=lambda taker: -len(taker.rows))),
        at_home=_numbers(lost & home),
        unasked=int(((before == 1) & (after == UNASKED)).sum()),
    )


def _taker(both: Both, now: Outcomes, number: int, lost: Bool) -> Taker:
    taken = lost & (both.now.chosen == number)
    returning = taken & (both.now.runner_up == now.number(both.now.task)) & both.now.own_right
    return Taker(
        task=now.names[number],
        rows=_numbers(taken),
        lead=float(both.now.lead[taken].mean(dtype=np.float64)),
        would_return=int(returning.sum()),
    )


def _numbers(chosen: Bool) -> tuple[int, ...]:
    numbers: list[int] = np.flatnonzero(chosen).tolist()
    return tuple(numbers)


def _counts(task: str, then: Outcomes, now: Outcomes) -> str:
    counts = [None if found is None else len(found.right) for found in (then.of(task), now.of(task))]
    before, after = ("none" if count is None else f"{count:,}" for count in counts)
    return f"{before} then and {after} now"

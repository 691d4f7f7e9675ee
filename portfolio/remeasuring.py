"""Measure every task after a change, and look again only at what can have changed.

Rows whose reach (routing/reach.py) no class mean entered or left stand as they stood. A row that went astray to a task that
knows its label is run through that task's adapter again only if its route changed. The results are those of looking at
everything; docs/decisions/0015-growth.md says how that is known, and what it saves. Everything is looked at where the
router is fitted anew, as the space of all rows has changed then, and where its settings changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from portfolio.errors import DamagedBlob
from portfolio.evaluation import AskAstray, Astray, KnownTask, SomeRows, look_at
from portfolio.known import KnownTasks
from portfolio.outcomes import NOBODY, UNASKED, Bool, Int32, TaskOutcomes
from portfolio.standing import Mark, Measured, Standing, Standings, read_standings, write_standings
from portfolio.store.changes import GenerationMoved
from portfolio.store.store import Store
from routing.cascade import Cascade
from routing.reach import Reach
from routing.statistics import Int64, centroids_from_bytes

NO_FIT = ""  # nothing is kept between changes, so no row's reach holds


def remeasure(
    store: Store, step: str, known: KnownTasks, router: Cascade, ask: AskAstray, *, keep: bool = True
) -> Measured:
    """The row of the results matrices named `step`, as `measure` makes it.

    Args:
        known: all tasks of the router, in its order.
        keep: where the rows stand for the next change; not of a portfolio that only might be.
    """
    before = read_standings(store.path)
    marks, under = known.marks(), _under(router)
    earlier = {} if before is None else _earlier(before, marks)
    again: list[Int64 | None] | None = None
    if before is not None and under != NO_FIT and before.under == under:
        again = _touched(store, before, known, marks, router, earlier)
    if again is None:
        again = [None] * len(known)
    looked = look_at(_rows(known, again), router, _remembering(ask, earlier, router.tasks), known.labels)
    tasks = []
    for number, mark in enumerate(marks):
        rows = again[number]
        if rows is None:
            tasks.append(next(looked))
        else:
            tasks.append(_merged(earlier[mark.name], rows, next(looked) if len(rows) else None))
    if keep:
        write_standings(store.path, Standings(under=under, marks=marks, tasks=tuple(tasks)))
    return Measured.of(step, router.tasks, tasks)


def _under(router: Cascade) -> str:
    fit = router.whole.fit_digest
    if fit is None:
        return NO_FIT
    first = None if router.first_look is None else asdict(router.first_look)
    whole = router.whole
    return json.dumps([fit, asdict(whole.settings), first, router.first_width, whole.may_own])


def _earlier(before: Standings, marks: Sequence[Mark]) -> dict[str, Standing]:
    """Where the rows of the tasks that are the same stood, by the numbers that the tasks have now."""
    number = {mark.name: place for place, mark in enumerate(marks)}
    staying = set(marks) & set(before.marks)
    now = np.array([number[mark.name] if mark in staying else NOBODY for mark in before.marks], dtype=np.int32)
    now = np.append(now, np.int32(NOBODY))  # of NOBODY
    found = zip(before.marks, before.tasks, strict=True)
    return {mark.name: _renumbered(standing, now) for mark, standing in found if mark in staying}


def _renumbered(standing: Standing, now: Int32) -> Standing:
    old = standing.outcomes
    return replace(standing, outcomes=replace(old, chosen=now[old.chosen], runner_up=now[old.runner_up]))


def _touched(
    store: Store,
    before: Standings,
    known: KnownTasks,
    marks: Sequence[Mark],
    router: Cascade,
    earlier: Mapping[str, Standing],
) -> list[Int64 | None] | None:
    """For each task the rows that are to be looked at again, None for all; None if that cannot be told."""
    moved = set(marks) ^ set(before.marks)
    try:
        came_or_went = [centroids_from_bytes(store.get(mark.centroids)) for mark in moved]
    except (DamagedBlob, GenerationMoved):  # of a task that went, and is needed by nobody any more
        return None
    met = None
    if came_or_went:
        means = np.concatenate([one.means for one in came_or_went])
        met = router.moved(means, np.concatenate([one.counts for one in came_or_went]))
    again: list[Int64 | None] = []
    for number, mark in enumerate(marks):
        standing = earlier.get(mark.name)
        if standing is None:
            again.append(None)
            continue
        rows = _unsettled(standing, number)
        if met is not None and len(rows):
            rows |= met.touches(known.glance(number), standing.reach)
        again.append(np.flatnonzero(rows))
    return again


def _unsettled(standing: Standing, number: int) -> Bool:
    """(N,), rows that nobody could be asked about, or of which a task went that mattered to them."""
    outcomes = standing.outcomes
    lost = (outcomes.chosen == NOBODY) | ((outcomes.runner_up == NOBODY) & (outcomes.chosen != number))
    return np.asarray((outcomes.right == UNASKED) | lost)


def _rows(known: KnownTasks, again: Sequence[Int64 | None]) -> Iterator[SomeRows]:
    for number, rows in enumerate(again):
        if rows is None:
            yield SomeRows.all_of(known[number])
        elif len(rows):
            yield SomeRows(task=known[number], rows=rows)


def _remembering(ask: AskAstray, earlier: Mapping[str, Standing], tasks: Sequence[str]) -> AskAstray:
    """Asks only about rows that went elsewhere before, or that nobody could be asked about."""
    number = {name: place for place, name in enumerate(tasks)}

    def asked(task: KnownTask, astray: Sequence[Astray]) -> list[bool] | None:
        if task.name not in earlier:
            return ask(task, astray)
        before = earlier[task.name].outcomes
        known = [before.chosen[one.row] == number[one.chosen] and before.right[one.row] != UNASKED for one in astray]
        unknown = [one for one, is_known in zip(astray, known, strict=True) if not is_known]
        said = ask(task, unknown) if unknown else []
        if said is None:
            return None
        answers = iter(said)
        return [
            bool(before.right[one.row]) if is_known else next(answers)
            for one, is_known in zip(astray, known, strict=True)
        ]

    return asked


def _merged(standing: Standing, rows: Int64, fresh: Standing | None) -> Standing:
    """The same with some rows looked at again."""
    if fresh is None:
        return standing
    old, new = standing.outcomes, fresh.outcomes
    arrays = ("own_right", "chosen", "right", "kept", "runner_up", "lead")
    outcomes = TaskOutcomes(
        task=old.task, **{name: _put(getattr(old, name), rows, getattr(new, name)) for name in arrays}
    )
    fields = Reach.__dataclass_fields__
    return replace(
        standing,
        outcomes=outcomes,
        floor_right=_put(standing.floor_right, rows, fresh.floor_right),
        reach=Reach(**{name: _put(getattr(standing.reach, name), rows, getattr(fresh.reach, name)) for name in fields}),
    )


def _put(array: npt.NDArray[Any], rows: Int64, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    changed = array.copy()
    changed[rows] = values
    return changed

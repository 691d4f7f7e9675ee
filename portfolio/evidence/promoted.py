"""The portfolio as it would be with a version as its task's champion, and what that changes for every task.

The task's record says then what the version was learned from, the router knows the task by the version's statistics, and
all tasks are measured under that router. Nothing is committed; what is computed can be (`Ready`), as long as the
surroundings stay the same (surroundings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from portfolio.asking import ReadAgain, asker
from portfolio.calibrating import calibrated_router, known_tasks, totals_without, wishes_of
from portfolio.champions import champions_of
from portfolio.engine import Engine, Moment
from portfolio.evaluation_set import EvaluationSet
from portfolio.gates.evidence import Bool, OtherTask, Routed
from portfolio.outcomes import UNASKED, Outcomes
from portfolio.records import CHAMPION, Alias, Lineage, Ready, RouterState, Snapshot, TaskRecord
from portfolio.remeasuring import remeasure
from portfolio.standing import Measured
from portfolio.store.release_rows import shared_by
from portfolio.surroundings import surroundings
from routing.cascade import Cascade
from routing.statistics import features_from_bytes, scatter_from_bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Promoted:
    """What it would be, beside what it is."""

    lineage: Lineage
    before: Measured
    after: Measured
    router: Cascade
    state: RouterState
    surroundings: str
    has_same_rows: bool  # the test rows of version and champion are the same

    def ready(self, put: Callable[[bytes], str]) -> Ready:
        """What a promotion needs; what became of the test rows is put on disk."""
        return Ready(
            name=self.lineage.name,
            version=self.lineage.version,
            surroundings=self.surroundings,
            router=self.state,
            cells=self.after.cells,
            outcomes=put(self.after.outcomes.to_bytes()),
        )


def with_lineage(snapshot: Snapshot, lineage: Lineage) -> Snapshot:
    """The snapshot as if that version were its task's champion."""
    shared = shared_by(lineage)
    tasks = tuple(replace(task, **shared) if task.name == lineage.name else task for task in snapshot.tasks)
    others = [one for one in snapshot.aliases if (one.name, one.alias) != (lineage.name, CHAMPION)]
    champion = Alias(name=lineage.name, alias=CHAMPION, version=lineage.version)
    return replace(snapshot, tasks=tasks, aliases=(*others, champion))


def promoted(engine: Engine, now: Moment, lineage: Lineage, read_again: ReadAgain) -> Promoted:
    """Measure all tasks as they are, and as they would be.

    Args:
        now: what the engine knew when the judgement began; its snapshot holds the version.
    """
    snapshot, store = now.snapshot, engine.store
    assert now.router is not None and snapshot.router is not None  # there is a task, as there is a version of it
    step = snapshot.tasks[-1].name
    record = _only(snapshot, lineage)
    before = remeasure(store, step, known_tasks(engine, snapshot), now.router, asker(engine, snapshot, read_again))
    changed = with_lineage(snapshot, lineage)
    router, state = now.router, snapshot.router
    after = before
    if changed.tasks != snapshot.tasks or _champion(snapshot, lineage.name) != lineage.version:
        known = known_tasks(engine, changed)
        if not _is_routed_alike(engine, record, lineage):
            scatter = scatter_from_bytes(store.get(lineage.scatter))
            totals = totals_without(engine, snapshot, [record]).add(known.centroids[lineage.name], scatter)
            router, state, _ = calibrated_router(engine, totals, known, wishes_of(snapshot))
        after = remeasure(store, step, known, router, asker(engine, changed, read_again), keep=False)
    return Promoted(
        lineage=lineage,
        before=before,
        after=after,
        router=router,
        state=state,
        surroundings=surroundings(snapshot, lineage.name),
        has_same_rows=_test_digest(record) == _test_digest(lineage),
    )


def routed(engine: Engine, promotion: Promoted) -> Routed:
    """What a promotion changes: of the other tasks row by row, of the task itself, and of out-of-scope inputs."""
    name = promotion.lineage.name
    before, after = promotion.before.outcomes, promotion.after.outcomes
    others, unknown = [], []
    for task in after.names:
        if task != name:
            one, is_known = _compared(task, before, after)
            others.append(one)
            unknown += [] if is_known else [task]
    own = after.of(name)
    assert own is not None
    refused = _refused(engine, promotion)
    return Routed(
        others=tuple(others),
        unknown=tuple(unknown),
        own=_at_home(name, after),
        own_before=_at_home(name, before) if promotion.has_same_rows else None,
        oos_recall=float(refused.mean()) if len(refused) else None,
        oos_rows=len(refused),
        coverage=float(own.kept.mean()) if len(own.kept) else None,
    )


def _compared(task: str, before: Outcomes, after: Outcomes) -> tuple[OtherTask, bool]:
    """One other task's rows that were asked about both times, and whether those are all."""
    one, other = before.of(task), after.of(task)
    assert one is not None and other is not None
    asked = (one.right != UNASKED) & (other.right != UNASKED)
    pair = OtherTask(task=task, before=one.right[asked] == 1, after=other.right[asked] == 1)
    return pair, bool(asked.all())


def _at_home(task: str, outcomes: Outcomes) -> Bool:
    """(N,), whether each of the task's rows goes to it."""
    found = outcomes.of(task)
    assert found is not None
    return np.asarray(found.chosen == outcomes.number(task), dtype=np.bool_)


def _refused(engine: Engine, promotion: Promoted) -> Bool:
    """(N,), whether each of the portfolio's out-of-scope examples is; empty where it has none."""
    oos = promotion.state.wishes.oos
    if oos is None:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(promotion.router.choose(features_from_bytes(engine.store.get(oos))).choices.abstain)


def _is_routed_alike(engine: Engine, record: TaskRecord, lineage: Lineage) -> bool:
    """Whether the router knows the task by the same statistics, and is calibrated on the same rows."""
    same = ("labels", "centroids", "scatter")
    if any(getattr(record, field) != getattr(lineage, field) for field in same):
        return False
    if record.evaluation == lineage.evaluation:
        return True
    sets = (EvaluationSet.from_bytes(engine.store.get(one.evaluation)) for one in (record, lineage))
    mine, others = (one.validation_features for one in sets)
    return np.array_equal(mine, others)


def _champion(snapshot: Snapshot, name: str) -> int:
    return champions_of(snapshot)[name].version


def _only(snapshot: Snapshot, lineage: Lineage) -> TaskRecord:
    """The record of the version's task."""
    [record] = [task for task in snapshot.tasks if task.name == lineage.name]
    return record


def _test_digest(data: TaskRecord | Lineage) -> str:
    [source] = [one for one in data.sources if one.split == "test"]
    return source.sha256

"""How well the router does: texts whose true task is known, and tasks that lie close to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portfolio.answering import route
from portfolio.asking import ReadAgain, asker
from portfolio.calibrating import known_tasks, totals_without
from portfolio.choosing import TRUNK, Wanted
from portfolio.engine import Engine, Moment, load_centroids
from portfolio.errors import NotFound
from portfolio.evaluation import measure
from portfolio.outcomes import Outcomes
from portfolio.records import Route
from portfolio.reports.judgement import OutOfScope, OverlapReport, RouteReport, WrongRoute
from routing.cascade import Cascade
from routing.measures import (
    auroc,
    confusion,
    coverage_risk,
    expected_calibration_error,
    fpr_at_recall,
)
from routing.overlap import Overlap, overlap, stolen_by
from routing.router import CentroidRouter
from routing.rules import NO_RULES, Permit
from routing.sessions import Sessions
from routing.statistics import Float64, FloatArray

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def outcomes_under(engine: Engine, permit: Permit, read_again: ReadAgain) -> tuple[Moment, Outcomes, Outcomes]:
    """What becomes of every kept test row where the router may choose freely, and among the tasks permitted alone.

    Raises:
        NotFound: no task at all, or none is permitted.
    """
    now = engine.refresh()
    if now.router is None:
        raise NotFound("there is no task to route to yet; add one with: portfolio add-task NAME --train FILE")
    if not permit.allowed:
        raise NotFound(f"this request may reach no task, so nothing of it is answered: {permit.reason}")
    known, step = known_tasks(engine, now.snapshot), now.snapshot.tasks[-1].name
    ask = asker(engine, now.snapshot, read_again)
    freely, permitted = (
        measure(step, known, now.router, ask, known.labels, allowed).outcomes for allowed in (None, permit.allowed)
    )
    return now, freely, permitted


def judge_routes(
    engine: Engine,
    texts: Sequence[str],
    true_tasks: Sequence[str],
    pairs: Sequence[str] | None,
    out_of_scope: Sequence[str],
    out_of_scope_pairs: Sequence[str] | None,
) -> RouteReport:
    """Route every text among all tasks, without rules and sessions, disabled or not, and compare.

    Raises:
        NotFound: no task at all, or no text.
    """
    if not texts:
        raise NotFound("expected one text or more whose task is known, got none")
    now = engine.refresh()
    names = tuple(task.name for task in now.snapshot.tasks)
    routes = _routes(engine, texts, pairs)
    number = {name: index for index, name in enumerate(names)}
    true = np.array([number[name] for name in true_tasks])
    chosen = np.array([number[one.tasks[0]] for one in routes])
    right = chosen == true
    sure = np.array([one.scores[0] for one in routes])
    counts = confusion(true, chosen, len(names))
    blocks = float(np.mean([one.block_evaluations for one in routes]))
    return RouteReport(
        tasks=names,
        rows=len(texts),
        accuracy=float(right.mean()),
        by_task=tuple(float(line[i] / line.sum()) if line.sum() else None for i, line in enumerate(counts)),
        confusion=counts,
        coverage=float(np.mean([not _is_refused(one) for one in routes])),
        ece=expected_calibration_error(sure, right),
        curve=coverage_risk(sure, right, COVERAGES),
        asked=float(np.mean([one.looked != TRUNK for one in routes])),
        block_evaluations=blocks,
        base_passes=blocks / len(engine.host.blocks),
        wrong=tuple(
            WrongRoute(row=row, text=texts[row], task=true_tasks[row], route=routes[row])
            for row in np.flatnonzero(~right).tolist()
        ),
        out_of_scope=_judged_outside(routes, _routes(engine, out_of_scope, out_of_scope_pairs))
        if out_of_scope
        else None,
    )


def judge_overlap(engine: Engine, without: str | None) -> OverlapReport:
    """Compare every task with every other under the router as it is, and as it would be without one task.

    Raises:
        NotFound: no task at all.
    """
    now = engine.refresh()
    if now.router is None:
        raise NotFound("there is no task yet; add one with: portfolio add-task NAME --train FILE")
    rows: dict[str, FloatArray] = {
        task.name: task.rows.validation_features for task in known_tasks(engine, now.snapshot)
    }
    labels = {task.name: task.labels for task in now.snapshot.tasks}
    after = _overlap(now.router, rows)
    if without is None or len(rows) == 1:
        return OverlapReport(now=after, labels=labels)
    before = _overlap(_router_without(engine, now, without), {n: x for n, x in rows.items() if n != without})
    return OverlapReport(now=after, labels=labels, without=without, stolen=stolen_by(before, after, without))


def _routes(engine: Engine, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Route]:
    return route(
        engine, texts, pairs, rules=NO_RULES, sessions=Sessions(), wanted=Wanted(abstain=False, stand_in=False)
    )


def _is_refused(one: Route) -> bool:
    return one.in_scope is not None and one.threshold is not None and one.in_scope < one.threshold


def _judged_outside(inside: Sequence[Route], outside: Sequence[Route]) -> OutOfScope:
    scores = _on_one_scale([*inside, *outside])
    kept, foreign = scores[: len(inside)], scores[len(inside) :]
    return OutOfScope(
        rows=len(outside),
        recall=float(np.mean([_is_refused(one) for one in outside])),
        auroc=auroc(kept, foreign),
        fpr95=fpr_at_recall(kept, foreign),
    )


def _on_one_scale(routes: Sequence[Route]) -> Float64:
    """In-scope scores (N,) in the order in which rows would be refused: whoever is sure at the first look goes last."""
    scores = np.array([0.0 if one.in_scope is None else one.in_scope for one in routes])
    is_sure = np.array([one.looked == TRUNK for one in routes])
    if is_sure.all() or not is_sure.any():
        return scores
    return np.where(is_sure, scores - scores[is_sure].min() + scores[~is_sure].max() + 1, scores)


def _overlap(router: Cascade, rows: dict[str, FloatArray]) -> Overlap:
    chosen = [router.choose(rows[name]).choices.tasks for name in router.tasks]
    whole = router.whole
    return overlap(router.tasks, chosen, whole.whitened(whole.class_means), whole.task_of_class)


def _router_without(engine: Engine, now: Moment, name: str) -> Cascade:
    """The router as it would be without a task, under the settings that hold now."""
    assert now.router is not None
    store = engine.store
    [record] = [task for task in now.snapshot.tasks if task.name == name]
    staying = [task for task in now.snapshot.tasks if task.name != name]
    totals = totals_without(engine, now.snapshot, [record])
    centroids = {task.name: load_centroids(store, task) for task in staying}
    whole = CentroidRouter(totals, centroids, settings=now.router.whole.settings)
    return Cascade(whole, now.router.first_width, now.router.first_look)

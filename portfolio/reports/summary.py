"""The report in a few plain sentences: how well the tasks are answered now, and what got worse by how much."""

from __future__ import annotations

from portfolio.reports.report import Report, Results
from portfolio.reports.router import RouterFigures
from portfolio.reports.wording import count, percent, points

EMPTY = "This portfolio has no task yet. Add one with: portfolio add-task NAME --train FILE"


def summary(report: Report) -> tuple[str, ...]:
    """The report's sentences, most important first; whatever was not measured is not spoken of as if it were."""
    if not report.tasks:
        return (EMPTY,)
    opening = f"{count(len(report.tasks), 'task')} on the frozen base {report.base.name}."
    parts = (
        _accuracy(report),
        _change("Routed", report, report.routed),
        _change("With the task given", report, report.oracle),
        "With one task there is nothing yet to forget." if len(report.tasks) == 1 else "",
        _abstention(report),
        _floor(report),
        _unmeasured(report),
    )
    return (opening, *(part for part in parts if part))


def _accuracy(report: Report) -> str:
    oracle, routed = report.oracle.average_accuracy, report.routed.average_accuracy
    if oracle is None and routed is None:
        return "No score was measured after the last task was added."
    if routed is None:
        return f"With the task given, {percent(oracle)} % of test rows are answered rightly; routed, not measured."
    found = report.routing_accuracy
    finding = "" if found is None else f", which finds the right task for {percent(found)} %"
    choosing = f"{percent(routed)} % with the router choosing{finding}"
    if oracle is None:
        return f"Test rows answered rightly: {choosing}."
    return f"Test rows answered rightly: {percent(oracle)} % with the task given, {choosing}."


def _change(how: str, report: Report, results: Results) -> str:
    """What the earlier tasks lost or gained since they were added; the last task has had no time to change."""
    changes = {task: change for task, change in enumerate(results.changes()[:-1]) if change is not None}
    if not changes:
        return ""
    measured = "" if len(changes) == len(report.tasks) - 1 else " measured both then and now"
    if not any(changes.values()):
        return f"{how}, every earlier task{measured} scores exactly what it scored when it was added."
    average = f"{points(results.bwt)} points on average"
    worse = sum(change < 0 for change in changes.values())
    if not worse:
        return f"{how}, no earlier task{measured} scores less than when it was added ({average})."
    worst = min(changes, key=lambda task: changes[task])
    then, now = percent(results.added()[worst]), percent(results.now()[worst])
    if len(changes) == 1:
        return f"{how}, {report.tasks[worst]} scores less than when it was added: {then} % then, {now} % now."
    share = f"all {worse:,}" if worse == len(changes) else f"{worse:,} of {len(changes):,}"
    verb = "scores less than when it was" if worse == 1 else "score less than when they were"
    return (
        f"{how}, {share} earlier tasks{measured} {verb} added; the change is {average}, "
        f"the largest loss that of {report.tasks[worst]}: {then} % then, {now} % now."
    )


def _abstention(report: Report) -> str:
    if report.coverage is None or report.selective_accuracy is None:
        return ""
    return (
        f"Free to abstain, the router answers {percent(report.coverage)} % of these rows{_wanted(report.router)}, "
        f"{percent(report.selective_accuracy)} % of them rightly."
    )


def _wanted(router: RouterFigures | None) -> str:
    if router is None:
        return ""
    if router.recall_wanted is not None:
        return f" (wanted: to refuse {percent(router.recall_wanted)} % of out-of-scope inputs)"
    return f" ({percent(router.coverage_wanted)} % wanted)"


def _floor(report: Report) -> str:
    if report.floor is None:
        return ""
    return f"Without any adapter, the nearest class centroid alone reaches {percent(report.floor)} %."


def _unmeasured(report: Report) -> str:
    missing = report.oracle.unmeasured + report.routed.unmeasured
    if not missing:
        return ""
    known = len(report.tasks) * (len(report.tasks) + 1)  # two triangles, each with its diagonal
    return f"{count(missing)} of {count(known, 'score')} were not measured; they are left out, not counted as 0."

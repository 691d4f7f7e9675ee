"""The report in a few plain sentences: what got worse, then how well the tasks are answered now."""

from __future__ import annotations

from portfolio.reports.report import Report
from portfolio.reports.router import RouterFigures
from portfolio.reports.verdict import verdict
from portfolio.reports.wording import EMPTY, count, percent, points

_NAMED = 12  # tasks that are listed


def summary(report: Report) -> tuple[str, ...]:
    """The report's paragraphs, the verdict first; whatever was not measured is not spoken of as if it were."""
    if not report.tasks:
        return (EMPTY,)
    parts = (
        verdict(report),
        f"{count(len(report.tasks), 'task')} on the frozen base {report.base.name}.",
        _accuracy(report),
        _isolation(report),
        _gains(report),
        _abstention(report),
        _floor(report),
        _unmeasured(report),
        _other_rows(report),
        _rows_not_kept(report),
    )
    return tuple(part for part in parts if part)


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


def _isolation(report: Report) -> str:
    """That adapters did each other no harm; where one did, the verdict says so."""
    changes = [change.change for change in report.oracle_changes[:-1] if change.change is not None]
    if not changes or min(changes) < 0:
        return ""
    measured = "" if len(changes) == len(report.tasks) - 1 else " measured both then and now"
    if not any(changes):
        return f"With the task given, every earlier task{measured} scores exactly what it scored when it was added."
    return f"With the task given, no earlier task{measured} scores less than when it was added."


def _gains(report: Report) -> str:
    """Forward transfer, as far as it can be measured."""
    if not report.gains:
        return ""
    mean = sum(gain.gain for gain in report.gains) / len(report.gains)
    over = report.gains[0].task if len(report.gains) == 1 else f"{count(len(report.gains), 'task')} on average"
    return (
        f"To use earlier adapters gains {points(mean)} points on validation rows against an adapter trained for the task "
        f"alone ({over})."
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


def _other_rows(report: Report) -> str:
    if not report.other_rows:
        return ""
    named = ", ".join(report.other_rows[:_NAMED])
    more = f" and {len(report.other_rows) - _NAMED:,} more" if len(report.other_rows) > _NAMED else ""
    has, its = ("has", "its") if len(report.other_rows) == 1 else ("have", "their")
    return (
        f"{named}{more} {has} other test rows than under earlier versions: {its} scores on those are not comparable, and "
        "left out."
    )


def _rows_not_kept(report: Report) -> str:
    if report.rows_kept and report.confusion is None:
        return (
            "Test rows were not measured since another version answers, so changes have no interval and no reason. To "
            "measure them as they are answered now, type: portfolio evaluate"
        )
    if report.rows_kept or len(report.tasks) == 1:
        return ""
    return (
        "What became of each test row was not kept when some of these tasks came, so their changes have no interval and no "
        "reason. To keep the rows as they are answered now, type: portfolio evaluate"
    )

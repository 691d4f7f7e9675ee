"""What the report's page shows, as rows of texts with their looks: which tasks, which cells, in which words.

A look names one or two classes of the page's style sheet. What was not measured is `–`, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from portfolio.reports.charts import lowest_of_scale, score_panel
from portfolio.reports.findings import Confusion
from portfolio.reports.formulas import FORMULAS, ROUTED_ONLY
from portfolio.reports.report import Report, Results
from portfolio.reports.shades import shade
from portfolio.reports.typeset import UNMEASURED, lost, ranged, ranged_loss, scored, signed
from portfolio.reports.wording import count
from portfolio.reports.worst import worst_first

PANELS = 15  # tasks whose scores are drawn over time; of more, so many that lost most
HEAT_TASKS = 40  # a matrix of more tasks is not readable
CONFUSION_TASKS = 15  # of more, the largest exchanges are listed
DENSE_TASKS = 12  # a matrix of more is written in whole percents
EXCHANGES = 20

_SCORES = (  # figure of `Results`, and its words
    ("average_accuracy", "average accuracy"),
    ("micro_average_accuracy", "average accuracy by rows"),
    ("average_incremental_accuracy", "average over steps"),
    ("worst_score", "worst task"),
    ("plasticity", "plasticity"),
    ("stability", "stability"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaded:
    """One cell of a heat map."""

    text: str
    look: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One of the few large numbers."""

    name: str
    value: str
    unit: str
    beside: str  # its interval, or what it is measured against


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One task's score over time."""

    name: str
    picture: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Rows of one task that went to another."""

    name: str
    to: str
    rows: int
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure with its formula."""

    key: str  # in FORMULAS
    words: str
    oracle: str
    routed: str
    formula: str


def key_figures(report: Report) -> list[KeyFigure]:
    """How well tasks are answered, with the router and without, and what was forgotten."""
    interval = report.routed.forgetting_interval
    within = "" if interval is None else f"95 % interval {ranged_loss(interval)}"
    loss = "" if report.routing_loss is None else f"routing costs {lost(report.routing_loss)} points"
    selective = "" if report.selective_accuracy is None else f"{scored(report.selective_accuracy)} % of them rightly"
    return [
        KeyFigure(name="routed", value=scored(report.routed.average_accuracy), unit="%", beside=loss),
        KeyFigure(name="oracle", value=scored(report.oracle.average_accuracy), unit="%", beside="task given"),
        KeyFigure(name="forgetting", value=lost(report.routed.forgetting), unit="points", beside=within),
        KeyFigure(name="routing accuracy", value=scored(report.routing_accuracy), unit="%", beside="own task found"),
        KeyFigure(name="coverage", value=scored(report.coverage), unit="%", beside=selective),
    ]


def heat_map(results: Results) -> list[list[Shaded]]:
    """The results matrix, each score coloured by its change since its task was added; what came later is blank."""
    added, is_dense = results.added(), len(results.matrix) > DENSE_TASKS
    return [
        [_heat_cell(score, added[task], task - step, is_dense) for task, score in enumerate(row)]
        for step, row in enumerate(results.matrix)
    ]


def _heat_cell(score: float | None, added: float | None, ahead: int, is_dense: bool) -> Shaded:
    if score is None:
        return Shaded(text="", look="future") if ahead > 0 else Shaded(text=UNMEASURED, look="empty")
    text = f"{100 * score:.0f}" if is_dense else scored(score)
    if ahead > 0 or added is None:
        return Shaded(text=text, look="plain")
    return Shaded(text=text, look="added" if ahead == 0 else look_of(score - added))


def look_of(change: float | None) -> str:
    """The class of a change's colour."""
    if change is None:
        return "plain"
    depth = shade(change)
    return "same" if depth == 0 else f"{'gain' if depth > 0 else 'loss'}-{abs(depth)}"


def panels(report: Report) -> list[Panel]:
    """The mean over the tasks seen, then each task's routed score over time; of very many, those that lost most."""
    tasks = list(range(len(report.tasks)))
    shown = tasks if len(tasks) <= PANELS else worst_first(report)[:PANELS]
    columns = {task: tuple(row[task] for row in report.routed.matrix) for task in shown}
    steps = report.routed.steps
    lowest = lowest_of_scale([*steps, *(score for column in columns.values() for score in column)])
    drawn = [Panel(name="mean of tasks so far", picture=score_panel("all tasks so far, mean", steps, (), lowest))]
    for task, column in columns.items():
        name = report.tasks[task]
        drawn.append(Panel(name=f"{task + 1} {name}", picture=score_panel(name, column, steps, lowest)))
    return drawn


def confusion_map(confusion: Confusion) -> list[list[Shaded]]:
    """Rows of each task by where they went; coloured, away from home, by their share of the task's rows."""
    return [
        [_sent_cell(rows, sum(counts), is_home=task == to) for to, rows in enumerate(counts)]
        for task, counts in enumerate(confusion.counts)
    ]


def _sent_cell(rows: int, all_rows: int, *, is_home: bool) -> Shaded:
    if not all_rows:
        return Shaded(text=UNMEASURED, look="empty")
    if is_home:
        return Shaded(text=count(rows), look="added")
    return Shaded(text=count(rows), look=look_of(-rows / all_rows) if rows else "zero")


def exchanges(confusion: Confusion) -> list[Exchange]:
    """The largest numbers of rows that went to another task."""
    pairs = [
        (rows, task, to)
        for task, counts in enumerate(confusion.counts)
        for to, rows in enumerate(counts)
        if rows and task != to
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    names = confusion.tasks
    return [
        Exchange(name=names[task], to=names[to], rows=rows, share=scored(rows / sum(confusion.counts[task])))
        for rows, task, to in pairs[:EXCHANGES]
    ]


def figure_rows(report: Report) -> list[FigureRow]:
    """Every figure of the whole portfolio with its formula."""
    rows = [_both(report, figure, words, scored) for figure, words in _SCORES]
    rows.append(_both(report, "bwt", "BWT", signed))
    rows.append(_both(report, "bwt_interval", "BWT, 95 % interval", ranged))
    rows.append(_both(report, "forgetting", "forgetting", lost))
    rows.append(_both(report, "forgetting_interval", "forgetting, 95 % interval", ranged_loss))
    rows.append(_both(report, "fwt", "FWT", signed))
    routed = [("routing_loss", "routing loss", lost(report.routing_loss))]
    routed += [(figure, words, scored(getattr(report, figure))) for figure, words in ROUTED_ONLY]
    return rows + [
        FigureRow(key=figure, words=words, oracle="", routed=value, formula=FORMULAS[figure])
        for figure, words, value in routed
    ]


def _both(report: Report, figure: str, words: str, written: Callable[[Any], str]) -> FigureRow:
    oracle, routed = report.oracle, report.routed
    formula = FORMULAS[figure]
    if figure == "worst_score" and oracle.worst_task and routed.worst_task:
        formula += f"; oracle: {oracle.worst_task}, routed: {routed.worst_task}"
    return FigureRow(
        key=figure,
        words=words,
        oracle=written(getattr(oracle, figure)),
        routed=written(getattr(routed, figure)),
        formula=formula,
    )


def definitions(shown: Sequence[FigureRow]) -> list[tuple[str, str]]:
    """What else the page shows, of single tasks or rows, and how it is computed."""
    keys = {row.key for row in shown}
    return [(key.replace("_", " "), formula) for key, formula in FORMULAS.items() if key not in keys]

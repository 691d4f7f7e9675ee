"""The cells of the standings' tables, as texts: the same on a terminal, in Markdown and on a page."""

from __future__ import annotations

from dataclasses import dataclass

from portfolio.reports.standings import PORTFOLIO, Cost, Mean, Standing, Standings
from portfolio.reports.wording import NOTHING, count, duration, percent, points, size

BY_ROWS = "by rows"  # the column to leave out where there is little room
SCORE_HEADERS = (
    "method",
    "accuracy",
    BY_ROWS,
    "steps",
    "forgetting",
    "when new",
    "worst",
    f"less {PORTFOLIO}",
)
COST_HEADERS = ("method", "rate", "learning", "memory", "parameters", "beside", "texts")
LEGEND = (
    "Accuracy in %: mean of all tasks after the last; by rows: each test row counting the same; steps: mean over steps of "
    "the mean of the tasks so far; when new: of each task when it was learned; worst: of the worst task after the last. "
    "Forgetting and differences in points. ± is the reach of a 95 % interval over runs (Student's t); the difference is of "
    "the same order and seed. Where a method says the same in every order, only its seeds count as runs."
)
COST_LEGEND = (
    "Rate: of learning, the best of those tried; learning: time of one run, without its sweep; memory: the most the "
    "process held; parameters: changed or added, which must be stored; beside: numbers kept to learn the next task; texts: "
    "training texts kept."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingsTable:
    """One table: a line a method."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: str


def standings_tables(standings: Standings, *, plus_minus: str = "±") -> tuple[StandingsTable, ...]:
    """Class-incremental, task-given, and costs; those that have a line."""
    tables = (
        _scores("Class-incremental: chosen among all classes known so far", standings.free, plus_minus),
        _scores("Task-given: chosen among the classes of its task", standings.given, plus_minus),
        StandingsTable(
            title="Costs of one run",
            headers=COST_HEADERS,
            rows=tuple(_cost_row(cost) for cost in _by_standing(standings)),
            legend=COST_LEGEND,
        ),
    )
    return tuple(table for table in tables if table.rows)


def _scores(title: str, found: tuple[Standing, ...], plus_minus: str) -> StandingsTable:
    rows = tuple(_score_row(standing, plus_minus) for standing in found)
    return StandingsTable(title=title, headers=SCORE_HEADERS, rows=rows, legend=LEGEND)


def _score_row(standing: Standing, plus_minus: str) -> tuple[str, ...]:
    def plain(figure: str) -> str:
        mean = standing.figures[figure]
        return percent(None if mean is None else mean.mean)

    return (
        standing.method,
        _with_reach(standing.figures["average_accuracy"], plus_minus, is_change=False),
        plain("micro_average_accuracy"),
        plain("average_incremental_accuracy"),
        _with_reach(standing.figures["forgetting"], plus_minus, is_change=True),
        plain("plasticity"),
        plain("worst_task"),
        _with_reach(standing.against, plus_minus, is_change=True),
    )


def _with_reach(mean: Mean | None, plus_minus: str, *, is_change: bool) -> str:
    if mean is None:
        return NOTHING
    shown = points(mean.mean) if is_change else percent(mean.mean)
    if mean.interval is None:
        return shown
    return f"{shown} {plus_minus}{100 * (mean.interval.high - mean.interval.low) / 2:.1f}"


def _by_standing(standings: Standings) -> list[Cost]:
    """The costs in the order of the class-incremental table, then the others."""
    place = {one.method: number for number, one in enumerate(standings.free)}
    return sorted(standings.costs, key=lambda cost: place.get(cost.method, len(place)))


def _cost_row(cost: Cost) -> tuple[str, ...]:
    return (
        cost.method,
        NOTHING if cost.rate is None else f"{cost.rate:g}",
        duration(cost.seconds.mean),
        NOTHING if cost.peak_bytes is None else size(cost.peak_bytes),
        count(cost.parameters),
        count(cost.numbers),
        count(cost.texts),
    )

"""The standings as files: Markdown for a README, JSON, and CSV with one figure a line."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterator
from typing import Any

from portfolio.reports.standings import Cost, Mean, Reading, Standing, Standings
from portfolio.reports.standings_table import StandingsTable, standings_tables
from portfolio.reports.standings_words import standings_in_words

COLUMNS = ("method", "order", "seed", "reading", "figure", "step", "task", "value")


def standings_to_markdown(standings: Standings) -> str:
    """The paragraph, the tables, and what each method is; without headings, so that it fits under any."""
    parts = [" ".join(standings_in_words(standings))]
    legends: list[str] = []
    for table in standings_tables(standings):
        parts.append(f"**{table.title}**")
        parts.append(_table(table))
        legends += [table.legend] if table.legend not in legends else []
    methods = "\n".join(f"- `{cost.method}`: {cost.words} ({cost.source})" for cost in standings.costs)
    return "\n\n".join([*parts, *legends, methods]) + "\n"


def standings_to_dict(standings: Standings) -> dict[str, Any]:
    """For JSON: terms, words, both tables with their intervals, costs, and the figures of every run."""
    return {
        "terms": dataclasses.asdict(standings.terms),
        "classes": standings.classes,
        "test_rows": standings.test_rows,
        "in_words": list(standings_in_words(standings)),
        "class_incremental": [_standing(one) for one in standings.free],
        "task_given": [_standing(one) for one in standings.given],
        "costs": [_cost(one) for one in standings.costs],
        "runs": [_reading(one) for one in standings.readings],
        "unfinished": dict(standings.unfinished),
        "diverged": dict(standings.diverged),
        "faults": list(standings.faults),
    }


def standings_to_csv(standings: Standings) -> str:
    """One figure of one run a line; `step` counts from 1, and is empty with `task` for a figure of the whole run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for reading in standings.readings:
        writer.writerows(_lines(reading))
    return out.getvalue()


def _lines(reading: Reading) -> Iterator[tuple[object, ...]]:
    of_run = (reading.method, reading.order, reading.seed, reading.reading)
    for figure, value in reading.figures.items():
        if value is not None:
            yield (*of_run, figure, "", "", value)
    for step, value in enumerate(reading.steps, start=1):
        if value is not None:
            yield (*of_run, "average_accuracy_so_far", step, "", value)
    for step, row in enumerate(reading.results.tolist(), start=1):
        for task, score in zip(reading.tasks, row, strict=True):
            if not math.isnan(score):
                yield (*of_run, "accuracy", step, task, score)


def _table(table: StandingsTable) -> str:
    rule = "|---|" + "---:|" * (len(table.headers) - 1)
    return "\n".join([_line(table.headers), rule, *map(_line, table.rows)])


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "method": standing.method,
        "words": standing.words,
        "runs": standing.runs,
        **{figure: _mean(mean) for figure, mean in standing.figures.items()},
        "less_portfolio": _mean(standing.against),
        "steps": list(standing.steps),
    }


def _mean(mean: Mean | None) -> dict[str, Any] | None:
    if mean is None:
        return None
    interval = mean.interval
    return {
        "mean": mean.mean,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "runs": mean.runs,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {**dataclasses.asdict(cost), "seconds": _mean(cost.seconds)}


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "method": reading.method,
        "order": reading.order,
        "seed": reading.seed,
        "reading": reading.reading,
        "tasks": list(reading.tasks),
        "results": [[None if math.isnan(score) else score for score in row] for row in reading.results.tolist()],
        **reading.figures,
    }

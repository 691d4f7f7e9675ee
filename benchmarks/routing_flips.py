"""How many routes flip when texts are typed carelessly, by how sure the router was of the clean text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.routing_contestants import Contestant, Float64
from benchmarks.routing_data import Float32, Int64
from benchmarks.routing_problems import Problem

QUARTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """One router under one change."""

    router: str
    change: str
    rows: int
    share: float  # of routes that flip
    by_quarter: tuple[float, ...]  # the same among the rows of smallest margin, …, of largest margin
    accuracy_before: float
    accuracy: float  # of the changed texts


def flips_of(contestant: Contestant, problem: Problem, rows: Int64, changed: Mapping[str, Float32]) -> list[Flips]:
    """One entry a change.

    Args:
        rows: numbers of judged rows.
        changed: name of the change -> features of those rows' texts after it.
    """
    fitted = contestant.fit(problem)
    some = problem.judged.select(rows)
    clean, true = fitted.route(some.features), problem.task_of(some)
    found = []
    for change, features in changed.items():
        now = fitted.route(features).tasks
        has_flipped = now != clean.tasks
        found.append(
            Flips(
                router=contestant.name,
                change=change,
                rows=len(rows),
                share=float(has_flipped.mean()),
                by_quarter=shares_by_quarter(has_flipped.astype(np.float64), clean.margins),
                accuracy_before=float((clean.tasks == true).mean()),
                accuracy=float((now == true).mean()),
            )
        )
    return found


def shares_by_quarter(values: Float64, margins: Float64) -> tuple[float, ...]:
    """The mean of the values in each quarter of the rows, smallest margins first; quarters differ by a row at most."""
    order = np.argsort(margins, kind="stable")
    return tuple(float(values[quarter].mean()) for quarter in np.array_split(order, QUARTERS))

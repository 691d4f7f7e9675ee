"""How each task is served now, and how many rows it has: read off single cells, with nothing to compute."""

from __future__ import annotations

import math
from dataclasses import dataclass

from portfolio.cells import Cells
from portfolio.records import Cell, Snapshot, TaskRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """How one task is served after one step."""

    task: str
    rows: int  # test rows behind the figures
    oracle: float | None
    routed: float | None
    routing_accuracy: float | None
    astray_right: float | None  # share of rows that another task answered, and rightly
    coverage: float | None
    selective_accuracy: float | None
    floor: float | None
    baseline: float | None  # always the most frequent training label


def figures_now(snapshot: Snapshot) -> tuple[TaskFigures, ...]:
    """One a task, as measured after the last task was added; without scores where nothing was measured."""
    if not snapshot.tasks:
        return ()
    last = snapshot.tasks[-1].name
    measured = {cell.task: cell for cell in Cells.of(snapshot.cells).of_step(last)}
    cells = (measured.get(task.name, Cell(step=last, task=task.name, rows=0)) for task in snapshot.tasks)
    return tuple(figures_of(cell) for cell in cells)


def figures_of(cell: Cell) -> TaskFigures:
    """The scores of one cell, without NaN."""
    return TaskFigures(
        task=cell.task,
        rows=cell.rows,
        oracle=score(cell.oracle),
        routed=score(cell.routed),
        routing_accuracy=score(cell.routing),
        astray_right=score(cell.astray_right),
        coverage=score(cell.coverage),
        selective_accuracy=score(cell.selective),
        floor=score(cell.floor),
        baseline=score(cell.baseline),
    )


def score(value: float | None) -> float | None:
    """The score itself, or None where it is missing or NaN."""
    return None if value is None or math.isnan(value) else value


def rows_of(task: TaskRecord, split: str) -> int:
    """How many rows a split of this task has; 0 where there is no such split."""
    return sum(source.rows for source in task.sources if source.split == split)

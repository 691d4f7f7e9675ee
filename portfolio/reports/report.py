"""The figures of one portfolio as data: both results matrices, what is read off them, and what each adapter cost.

Everything is computed from a `Snapshot`, so a report needs no model. Scores are accuracies in [0, 1]; a score that was
not measured is None, and null in JSON.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from portfolio.records import AdapterRecord, Cell, Snapshot, TaskRecord
from portfolio.reports import metrics
from portfolio.reports.router import RouterFigures, figures_of_router

# How each figure is computed, T tasks counted from 0. Printed beside the figure, as definitions differ in the field.
FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "matrix": "R[i, j] = accuracy on the test rows of task j after task i was added; "
        "null where it was not measured, and then not counted",
        "oracle": "R with the true task given",
        "routed": "R with the router choosing among all tasks known by then, over all of their labels, "
        "an answer forced for every row",
        "average_accuracy": "mean over j of R[T-1, j]",
        "average_incremental_accuracy": "mean over i of (mean over j <= i of R[i, j])",
        "plasticity": "mean over j of R[j, j]",
        "bwt": "mean over j < T-1 of R[T-1, j] - R[j, j]",
        "forgetting": "mean over j < T-1 of (max over j <= l < T-1 of R[l, j]) - R[T-1, j]",
        "fwt": "mean over i >= 1 of R[i-1, i] - b[i], with b[i] the accuracy of always saying the most frequent "
        "training label; undefined while no task could be scored before it was added",
        "routing_accuracy": "share of test rows sent to their own task, forced; mean over tasks, now",
        "astray_right": "share of test rows sent to another task that still got the right label, forced; "
        "mean over tasks, now",
        "coverage": "share of test rows answered when the router may abstain; mean over tasks, now",
        "selective_accuracy": "routed accuracy over the rows answered when it may abstain; mean over tasks, now",
        "floor": "routed accuracy of the whitened class centroids alone, without adapters; mean over tasks, now",
        "asked": "share of validation rows for which the frozen base was asked, as the trunk alone was not sure; "
        "1 where it always is",
        "ece": "expected calibration error of P(task | x) on validation rows: mean over bins of probability of "
        "|accuracy - mean probability|, weighted by the rows of a bin; before: at temperature 1",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One results matrix and the figures read off it; `FORMULAS` says how."""

    matrix: tuple[tuple[float | None, ...], ...]  # row i: after task i was added; column j: on task j
    unmeasured: int  # scores that are missing on or below the diagonal
    average_accuracy: float | None
    average_incremental_accuracy: float | None
    plasticity: float | None
    bwt: float | None
    forgetting: float | None
    fwt: float | None

    def added(self) -> tuple[float | None, ...]:
        """Per task: its score when it was added, the diagonal."""
        return tuple(row[task] for task, row in enumerate(self.matrix))

    def now(self) -> tuple[float | None, ...]:
        """Per task: its score now, the last row."""
        return self.matrix[-1] if self.matrix else ()

    def changes(self) -> tuple[float | None, ...]:
        """Per task: its score now minus its score when it was added; the last task's is 0."""
        return tuple(
            None if now is None or added is None else now - added
            for now, added in zip(self.now(), self.added(), strict=True)
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one adapter takes up, and what its training took."""

    task: str
    adapter: str  # `name@version`
    method: str
    parameters: int
    bytes: int
    seconds: float
    epochs: int
    train_rows: int
    validation_rows: int
    test_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The frozen base behind every figure."""

    name: str
    revision: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one portfolio at one generation. `routing_accuracy` to `floor` are means over tasks, now."""

    generation: int
    base: Base
    tasks: tuple[str, ...]  # in the order they were added
    oracle: Results
    routed: Results
    routing_accuracy: float | None
    astray_right: float | None
    coverage: float | None
    selective_accuracy: float | None
    floor: float | None
    router: RouterFigures | None  # None while there is no task
    per_task: tuple[TaskFigures, ...]  # now
    costs: tuple[Cost, ...]  # one an adapter, in the order of the tasks

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object, strictly: no NaN, null where a score was not measured."""
        return {
            "generation": self.generation,
            "base": dataclasses.asdict(self.base),
            "tasks": list(self.tasks),
            "oracle": _results_to_dict(self.oracle),
            "routed": _results_to_dict(self.routed),
            "routing_accuracy": self.routing_accuracy,
            "astray_right": self.astray_right,
            "coverage": self.coverage,
            "selective_accuracy": self.selective_accuracy,
            "floor": self.floor,
            "router": None if self.router is None else dataclasses.asdict(self.router),
            "per_task": [dataclasses.asdict(figures) for figures in self.per_task],
            "costs": [dataclasses.asdict(cost) for cost in self.costs],
            "formulas": dict(FORMULAS),
        }


def build_report(snapshot: Snapshot) -> Report:
    """The figures of a portfolio of any number of tasks, none included."""
    tasks = tuple(task.name for task in snapshot.tasks)
    cells = _scored_cells(snapshot.cells, tasks)
    baselines = {cell.task: score(cell.baseline) for cell in cells if score(cell.baseline) is not None}
    per_task = figures_now(snapshot)
    return Report(
        generation=snapshot.generation,
        base=Base(
            name=snapshot.contract.name,
            revision=snapshot.contract.revision,
            fingerprint=snapshot.contract.fingerprint,
        ),
        tasks=tasks,
        oracle=_results(cells, tasks, baselines, lambda cell: cell.oracle),
        routed=_results(cells, tasks, baselines, lambda cell: cell.routed),
        routing_accuracy=_mean(figures.routing_accuracy for figures in per_task),
        astray_right=_mean(figures.astray_right for figures in per_task),
        coverage=_mean(figures.coverage for figures in per_task),
        selective_accuracy=_mean(figures.selective_accuracy for figures in per_task),
        floor=_mean(figures.floor for figures in per_task),
        router=None if snapshot.router is None else figures_of_router(snapshot.router),
        per_task=per_task,
        costs=_costs(snapshot.tasks, snapshot.adapters),
    )


def figures_now(snapshot: Snapshot) -> tuple[TaskFigures, ...]:
    """One a task, as measured after the last task was added; without scores where nothing was measured."""
    if not snapshot.tasks:
        return ()
    last = snapshot.tasks[-1].name
    measured = {cell.task: cell for cell in snapshot.cells if cell.step == last}
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


def _scored_cells(cells: Sequence[Cell], tasks: Sequence[str]) -> list[Cell]:
    known = set(tasks)
    return [cell for cell in cells if cell.step in known and cell.task in known]


def _results(
    cells: Sequence[Cell],
    tasks: Sequence[str],
    baselines: Mapping[str, float | None],
    read: Callable[[Cell], float | None],
) -> Results:
    position = {task: index for index, task in enumerate(tasks)}
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for cell in cells:
        value = read(cell)
        matrix[position[cell.step], position[cell.task]] = np.nan if value is None else value
    baseline = np.array([baselines.get(task) for task in tasks], dtype=np.float64)  # None becomes NaN
    return Results(
        matrix=tuple(tuple(score(value) for value in row) for row in matrix.tolist()),
        unmeasured=int(np.isnan(matrix[np.tril_indices(len(tasks))]).sum()),
        average_accuracy=metrics.average_accuracy(matrix),
        average_incremental_accuracy=metrics.average_incremental_accuracy(matrix),
        plasticity=metrics.plasticity(matrix),
        bwt=metrics.bwt(matrix),
        forgetting=metrics.forgetting(matrix),
        fwt=metrics.fwt(matrix, baseline),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return math.fsum(measured) / len(measured) if measured else None


def _costs(tasks: Sequence[TaskRecord], adapters: Sequence[AdapterRecord]) -> tuple[Cost, ...]:
    position = {task.name: index for index, task in enumerate(tasks)}
    owned = [adapter for adapter in adapters if adapter.task in position]
    owned.sort(key=lambda adapter: (position[adapter.task], adapter.name, adapter.version))
    return tuple(_cost(tasks[position[adapter.task]], adapter) for adapter in owned)


def _cost(task: TaskRecord, adapter: AdapterRecord) -> Cost:
    return Cost(
        task=task.name,
        adapter=str(adapter.ref),
        method=adapter.method,
        parameters=adapter.parameters,
        bytes=adapter.bytes,
        seconds=adapter.seconds,
        epochs=adapter.epochs,
        train_rows=rows_of(task, "train"),
        validation_rows=rows_of(task, "validation"),
        test_rows=rows_of(task, "test"),
    )


def _results_to_dict(results: Results) -> dict[str, Any]:
    fields: dict[str, Any] = {field.name: getattr(results, field.name) for field in dataclasses.fields(results)}
    return fields | {"matrix": [list(row) for row in results.matrix]}

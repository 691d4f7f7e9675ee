"""The figures of one portfolio as data: both results matrices, what is read off them, and what each adapter cost.

Everything is computed from a `Snapshot` and what was kept of the test rows, so a report needs no model. Scores are
accuracies in [0, 1]; a score that was not measured is None, and null in JSON.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portfolio.cells import SCORES, Cells
from portfolio.champions import champions_of
from portfolio.outcomes import Bool
from portfolio.records import AdapterRecord, Snapshot, TaskRecord
from portfolio.reports import metrics
from portfolio.reports.added import Load, SinceAdded, rows_by_step, since_added
from portfolio.reports.confusion import confusion
from portfolio.reports.figures import TaskFigures, figures_now, rows_of
from portfolio.reports.findings import Change, Confusion, Gain, Interval, Loss
from portfolio.reports.formulas import FORMULAS
from portfolio.reports.gains import gains
from portfolio.reports.matrix import Matrix
from portfolio.reports.measured_on import NOTHING_MOVED, MeasuredOn
from portfolio.reports.metrics import Array
from portfolio.reports.router import RouterFigures, figures_of_router


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One results matrix and the figures read off it; `FORMULAS` says how."""

    matrix: Matrix  # row i: after task i was added; column j: on task j, as far as on the test rows that it has now
    unmeasured: int  # scores that are missing on or below the diagonal, but for those on other test rows
    average_accuracy: float | None
    micro_average_accuracy: float | None
    average_incremental_accuracy: float | None
    steps: tuple[float | None, ...]  # after each step: the mean over the tasks seen by then
    plasticity: float | None
    stability: float | None
    worst_task: str | None
    worst_score: float | None  # of that task, now
    bwt: float | None
    bwt_interval: Interval | None
    forgetting: float | None
    forgetting_interval: Interval | None
    fwt: float | None

    def added(self) -> tuple[float | None, ...]:
        """Per task: its score when it was added, the diagonal."""
        return self.matrix.diagonal()

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
class Cost:
    """What one adapter takes up, and what its training took."""

    task: str
    adapter: str  # `name@version`
    answers: bool  # whether it is the version that answers
    method: str
    parameters: int
    bytes: int
    seconds: float
    epochs: int
    train_rows: (
        int | None
    )  # these three of the version that answers alone: others may have been learned from other data
    validation_rows: int | None
    test_rows: int | None


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
    routing_loss: float | None
    routing_accuracy: float | None
    astray_right: float | None
    coverage: float | None
    selective_accuracy: float | None
    floor: float | None
    router: RouterFigures | None  # None while there is no task
    rows_kept: bool  # whether it is known what became of the test rows, at every step
    other_rows: tuple[str, ...]  # tasks that had other test rows under earlier versions: scores on those are left out
    changes: tuple[Change, ...]  # routed, one a task, since it was added
    oracle_changes: tuple[Change, ...]
    losses: tuple[Loss, ...]  # of the tasks that lost, routed; most lost first
    confusion: Confusion | None  # None where it is not known where the rows go now
    gains: tuple[Gain, ...]
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
            "routing_loss": self.routing_loss,
            "routing_accuracy": self.routing_accuracy,
            "astray_right": self.astray_right,
            "coverage": self.coverage,
            "selective_accuracy": self.selective_accuracy,
            "floor": self.floor,
            "router": None if self.router is None else dataclasses.asdict(self.router),
            "rows_kept": self.rows_kept,
            "other_rows": list(self.other_rows),
            "changes": _as_dicts(self.changes),
            "oracle_changes": _as_dicts(self.oracle_changes),
            "losses": _as_dicts(self.losses),
            "confusion": None if self.confusion is None else dataclasses.asdict(self.confusion),
            "gains": _as_dicts(self.gains),
            "per_task": _as_dicts(self.per_task),
            "costs": _as_dicts(self.costs),
            "formulas": dict(FORMULAS),
        }


def build_report(snapshot: Snapshot, load: Load | None = None, measured: MeasuredOn = NOTHING_MOVED) -> Report:
    """The figures of a portfolio of any number of tasks, none included.

    Args:
        load: reads what became of the test rows, by its digest; without it there are neither intervals nor reasons.
        measured: on which test rows, as versions may differ in these.
    """
    tasks = tuple(task.name for task in snapshot.tasks)
    cells, champions = Cells.of(snapshot.cells), champions_of(snapshot)
    other = _on_other_rows(snapshot, measured)
    matrices = _matrices(cells, tasks, ("oracle", "routed", "baseline"))
    matrices[:, other] = np.nan
    oracle, routed, baseline = matrices
    baselines = _last_known(baseline)
    per_task = figures_now(snapshot)
    rows = [figures.rows for figures in per_task]
    kept = since_added(snapshot, load, oracle, routed, rows, measured)
    return Report(
        generation=snapshot.generation,
        base=Base(
            name=snapshot.contract.name,
            revision=snapshot.contract.revision,
            fingerprint=snapshot.contract.fingerprint,
        ),
        tasks=tasks,
        oracle=_results(oracle, tasks, rows, baselines, kept.oracle, other),
        routed=_results(routed, tasks, rows, baselines, kept.routed, other),
        routing_loss=metrics.routing_loss(oracle, routed),
        routing_accuracy=_mean(figures.routing_accuracy for figures in per_task),
        astray_right=_mean(figures.astray_right for figures in per_task),
        coverage=_mean(figures.coverage for figures in per_task),
        selective_accuracy=_mean(figures.selective_accuracy for figures in per_task),
        floor=_mean(figures.floor for figures in per_task),
        router=None if snapshot.router is None else figures_of_router(snapshot.router),
        rows_kept=load is not None and len(rows_by_step(snapshot)) == len(tasks),
        other_rows=tuple(name for task, name in enumerate(tasks) if other[:, task].any()),
        changes=kept.routed.changes,
        oracle_changes=kept.oracle.changes,
        losses=kept.losses,
        confusion=None if kept.now is None else confusion(kept.now, tasks),
        gains=gains(snapshot.tasks, champions),
        per_task=per_task,
        costs=_costs(snapshot.tasks, snapshot.adapters, champions),
    )


def _on_other_rows(snapshot: Snapshot, measured: MeasuredOn) -> Bool:
    """(T, T), whether the score of that step (row) on that task (column) is one on other test rows than the task has now."""
    names = [task.name for task in snapshot.tasks]
    other: Bool = np.zeros((len(names), len(names)), dtype=np.bool_)
    moments = rows_by_step(snapshot)
    steps = [moments[name].generation if name in moments else 0 for name in names]
    steps[-1:] = [snapshot.generation] * len(steps[-1:])  # the last row is replaced whenever another version answers
    for task, name in enumerate(names):
        if name in measured.spans:
            other[:, task] = [not measured.same(name, step, snapshot.generation) for step in steps]
    return other


def _matrices(cells: Cells, tasks: Sequence[str], scores: Sequence[str]) -> Array:
    """(S, T, T): each of these scores after each step (row) on each task (column); NaN where nothing was measured."""
    kinds = [SCORES.index(score) for score in scores]
    position = {task: index for index, task in enumerate(tasks)}
    place = np.full(max(cells.names, default=-1) + 1, -1)  # of each number that a cell has
    for number, name in cells.names.items():
        place[number] = position.get(name, -1)
    matrices = np.full((len(kinds), len(tasks), len(tasks)), np.nan)
    for step, line in cells.lines.items():
        columns = place[np.asarray(line.tasks)]
        here = columns >= 0
        if place[step] >= 0:
            measured = np.asarray(line.scores).reshape(len(SCORES), -1)[kinds]
            matrices[:, place[step], columns[here]] = measured[:, here]
    return matrices


def _last_known(matrix: Array) -> Array:
    """(T, T) -> (T,): of each column the last score that was measured; NaN where there is none."""
    steps = len(matrix) - 1 - np.argmax(~np.isnan(matrix[::-1]), axis=0) if len(matrix) else np.zeros(0, dtype=np.int64)
    return np.asarray(matrix[steps, np.arange(len(matrix))])


def _results(
    matrix: Array,
    tasks: Sequence[str],
    rows: Sequence[int],
    baseline: Array,
    since: SinceAdded,
    other: Bool,
) -> Results:
    worst = metrics.worst_task(matrix)
    return Results(
        matrix=Matrix(matrix),
        unmeasured=int((np.isnan(matrix) & ~other)[np.tril_indices(len(tasks))].sum()),
        average_accuracy=metrics.average_accuracy(matrix),
        micro_average_accuracy=metrics.micro_average_accuracy(matrix, np.array(rows, dtype=np.int64)),
        average_incremental_accuracy=metrics.average_incremental_accuracy(matrix),
        steps=metrics.incremental_accuracies(matrix),
        plasticity=metrics.plasticity(matrix),
        stability=metrics.stability(matrix),
        worst_task=None if worst is None else tasks[worst[0]],
        worst_score=None if worst is None else worst[1],
        bwt=metrics.bwt(matrix),
        bwt_interval=since.bwt_interval,
        forgetting=metrics.forgetting(matrix),
        forgetting_interval=since.forgetting_interval,
        fwt=metrics.fwt(matrix, baseline),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return math.fsum(measured) / len(measured) if measured else None


def _costs(
    tasks: Sequence[TaskRecord], adapters: Sequence[AdapterRecord], champions: Mapping[str, AdapterRecord]
) -> tuple[Cost, ...]:
    position = {task.name: index for index, task in enumerate(tasks)}
    owned = [adapter for adapter in adapters if adapter.task in position]
    owned.sort(key=lambda adapter: (position[adapter.task], adapter.name, adapter.version))
    return tuple(_cost(tasks[position[one.task]], one, answers=one.ref == champions[one.task].ref) for one in owned)


def _cost(task: TaskRecord, adapter: AdapterRecord, *, answers: bool) -> Cost:
    train, validation, test = (rows_of(task, split) if answers else None for split in ("train", "validation", "test"))
    return Cost(
        task=task.name,
        adapter=str(adapter.ref),
        answers=answers,
        method=adapter.method,
        parameters=adapter.parameters,
        bytes=adapter.bytes,
        seconds=adapter.seconds,
        epochs=adapter.epochs,
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
    )


def _results_to_dict(results: Results) -> dict[str, Any]:
    return dataclasses.asdict(results) | {"matrix": [list(row) for row in results.matrix]}


def _as_dicts(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(one) for one in found]

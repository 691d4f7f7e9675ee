"""The report as one long table of CSV (RFC 4180), tidy: one line a number, nothing where it was not measured.

    figure,kind,step,task,other,value,low,high,rows

`figure` is a key of `FORMULAS` or of the report's JSON; `kind` is `oracle`, `routed` or nothing; `step` is the task after
which was measured; `other` the second task or the adapter that a number is about; `low` and `high` are the ends of its
95 % interval; `rows` the test rows behind it. Scores are in [0, 1]. Of the confusion, counts of 0 off the diagonal are
left out, as of many tasks nearly all are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from portfolio.reports.findings import Change, Confusion, Interval, Loss
from portfolio.reports.report import Cost, Report, Results

COLUMNS = ("figure", "kind", "step", "task", "other", "value", "low", "high", "rows")

_OF_RESULTS = (
    "average_accuracy",
    "micro_average_accuracy",
    "average_incremental_accuracy",
    "plasticity",
    "stability",
    "worst_score",
    "fwt",
)
_OF_REPORT = ("routing_loss", "routing_accuracy", "astray_right", "coverage", "selective_accuracy", "floor")
_OF_TASK = ("routing_accuracy", "astray_right", "coverage", "selective_accuracy", "floor", "baseline")
_OF_ROUTER = ("coverage_wanted", "recall_wanted", "threshold", "temperature", "asked", "ece_before", "ece")
_OF_COST = ("parameters", "bytes", "seconds", "epochs", "train_rows", "validation_rows", "test_rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One number, and what it is about."""

    figure: str
    value: float | None
    kind: str = ""
    step: str = ""
    task: str = ""
    other: str = ""
    interval: Interval | None = None
    rows: int | None = None

    def fields(self) -> tuple[str | float | None, ...]:
        low, high = (None, None) if self.interval is None else (self.interval.low, self.interval.high)
        return (self.figure, self.kind, self.step, self.task, self.other, self.value, low, high, self.rows)


def write_csv(report: Report, stream: IO[str]) -> None:
    """Write the table with its header; lines end in CR LF, as the format has it."""
    writer = csv.writer(stream)  # None becomes an empty field
    writer.writerow(COLUMNS)
    writer.writerows(line.fields() for line in _lines(report))


def _lines(report: Report) -> Iterator[_Line]:
    for kind, results, changes in (
        ("oracle", report.oracle, report.oracle_changes),
        ("routed", report.routed, report.changes),
    ):
        yield from _of_results(kind, results, report)
        yield from _of_changes(kind, changes)
    yield from (_Line(figure=figure, value=getattr(report, figure)) for figure in _OF_REPORT)
    for now in report.per_task:
        values = ((figure, getattr(now, figure)) for figure in _OF_TASK)
        yield from (_Line(figure=figure, task=now.task, value=value, rows=now.rows) for figure, value in values)
    yield from _of_losses(report.losses)
    if report.confusion is not None:
        yield from _of_confusion(report.confusion)
    yield from (_Line(figure="gain", task=gain.task, other=gain.kept, value=gain.gain) for gain in report.gains)
    yield from _of_costs(report.costs)
    if report.router is not None:
        yield from (_Line(figure=figure, value=getattr(report.router, figure)) for figure in _OF_ROUTER)


def _of_results(kind: str, results: Results, report: Report) -> Iterator[_Line]:
    tasks = report.tasks
    for step, row in enumerate(results.matrix):
        for task, score in enumerate(row):
            if task <= step or score is not None:
                is_now = step == len(tasks) - 1
                rows = report.per_task[task].rows if is_now else None  # a task may have had others before
                yield _Line(figure="matrix", kind=kind, step=tasks[step], task=tasks[task], value=score, rows=rows)
    for step, mean in enumerate(results.steps):
        yield _Line(figure="steps", kind=kind, step=tasks[step], value=mean)
    for figure in _OF_RESULTS:
        task_name = (results.worst_task or "") if figure == "worst_score" else ""
        yield _Line(figure=figure, kind=kind, task=task_name, value=getattr(results, figure))
    yield _Line(figure="bwt", kind=kind, value=results.bwt, interval=results.bwt_interval)
    yield _Line(figure="forgetting", kind=kind, value=results.forgetting, interval=results.forgetting_interval)


def _of_changes(kind: str, changes: Sequence[Change]) -> Iterator[_Line]:
    for one in changes:
        yield _Line(figure="change", kind=kind, task=one.task, value=one.change, interval=one.interval, rows=one.rows)


def _of_losses(losses: Sequence[Loss]) -> Iterator[_Line]:
    """Counts of rows: lost, won, and of the lost, those that each taker has."""
    for loss in losses:
        counts = {"lost": len(loss.lost), "won": loss.won, "at_home": len(loss.at_home), "unasked": loss.unasked}
        yield from (
            _Line(figure=figure, kind="routed", task=loss.task, value=number, rows=loss.rows)
            for figure, number in counts.items()
        )
        for taker in loss.takers:
            about = {"taken": len(taker.rows), "lead": taker.lead, "would_return": taker.would_return}
            yield from (
                _Line(figure=figure, kind="routed", task=loss.task, other=taker.task, value=value, rows=len(taker.rows))
                for figure, value in about.items()
            )


def _of_confusion(confusion: Confusion) -> Iterator[_Line]:
    for task, counts in enumerate(confusion.counts):
        rows = sum(counts)
        for to, sent in enumerate(counts):
            if sent or task == to:
                names = confusion.tasks
                yield _Line(figure="confusion", task=names[task], other=names[to], value=sent, rows=rows)


def _of_costs(costs: Sequence[Cost]) -> Iterator[_Line]:
    for cost in costs:
        values = ((figure, getattr(cost, figure)) for figure in _OF_COST)
        yield from (_Line(figure=figure, task=cost.task, other=cost.adapter, value=value) for figure, value in values)

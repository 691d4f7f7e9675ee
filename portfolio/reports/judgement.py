"""How well the router does: on texts whose task is known, and on tasks that lie close to each other; as data and as JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portfolio.records import Route

if TYPE_CHECKING:
    from routing.measures import RiskCurve
    from routing.overlap import Overlap, Pair, Theft
    from routing.statistics import Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRoute:
    """A text that did not find its task."""

    row: int  # counted from 0
    text: str
    task: str  # the true one
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScope:
    """How texts that no task should take were told from the others. All in [0, 1]."""

    rows: int
    recall: float  # share refused
    auroc: float
    fpr95: float  # share of them kept by the threshold that keeps 95 % of the texts that have a task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RouteReport:
    """Routing of texts whose task is known. Shares are in [0, 1]."""

    tasks: tuple[str, ...]
    rows: int
    accuracy: float  # share sent to their own task, abstentions ignored
    by_task: tuple[float | None, ...]  # the same for each task's texts; None where there were none
    confusion: Int64  # (T, T), rows of task i sent to task j
    coverage: float  # share not abstained on
    ece: float  # expected calibration error of P(task | x)
    curve: RiskCurve  # error among the surest share
    asked: float  # share for which the base's own features were asked
    block_evaluations: float  # a text, for routing alone, mean
    base_passes: float  # the same in passes of the whole base
    wrong: tuple[WrongRoute, ...]
    out_of_scope: OutOfScope | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OverlapReport:
    """How the tasks lie to each other now, and what one of them took when it came."""

    now: Overlap
    labels: dict[str, tuple[str, ...]]
    without: str | None = None
    stolen: tuple[Theft, ...] = ()

    def nearest_labels(self, pair: Pair) -> tuple[str, str]:
        """What the closest classes of two tasks are called."""
        first, second = pair.nearest_classes
        return self.labels[pair.first][first], self.labels[pair.second][second]


def route_report_to_dict(report: RouteReport) -> dict[str, Any]:
    """Every figure, and every text that went wrong with its route; its row is counted from 1."""
    fields = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    return {
        **fields,
        "tasks": list(report.tasks),
        "by_task": dict(zip(report.tasks, report.by_task, strict=True)),
        "confusion": report.confusion.tolist(),
        "curve": dataclasses.asdict(report.curve),
        "wrong": [{**dataclasses.asdict(one), "row": one.row + 1} for one in report.wrong],
        "out_of_scope": None if report.out_of_scope is None else dataclasses.asdict(report.out_of_scope),
    }


def overlap_to_dict(report: OverlapReport) -> dict[str, Any]:
    """The pairs that there is something to say of, and what was taken; null where a task has no validation rows."""
    return {
        "tasks": list(report.now.tasks),
        "pairs": [_pair_fields(report, pair) for pair in report.now.pairs],
        "without": report.without,
        "taken": [{"task": theft.task, "rows": len(theft.rows), "share": theft.share} for theft in report.stolen],
    }


def _pair_fields(report: OverlapReport, pair: Pair) -> dict[str, Any]:
    return {
        **dataclasses.asdict(pair),
        "taken_by_second": known(pair.taken_by_second),
        "taken_by_first": known(pair.taken_by_first),
        "nearest_classes": list(report.nearest_labels(pair)),
    }


def known(share: float) -> float | None:
    """None instead of NaN."""
    return None if math.isnan(share) else share

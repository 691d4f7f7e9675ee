"""The figures of one router on one problem.

accuracy       share of judged rows sent to their own task, forced choice; macro: the mean over tasks
AUROC          P(a judged in-scope row scores above an out-of-scope row), ties half
at coverage    the threshold keeps 95 % of the calibration rows; then the share of judged rows kept (coverage), and the
               share of out-of-scope rows refused (recall)
passes         1 + asked · (blocks above the trunk / blocks): the trunk and the adapters' pass, and a look of the frozen
               base at the rows that asked for it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median

import numpy as np

from benchmarks.routing_contestants import Contestant, Fitted, Routed
from benchmarks.routing_data import Float32, Int64
from benchmarks.routing_ours import COVERAGE
from benchmarks.routing_problems import Problem
from routing.calibration import choose_threshold
from routing.measures import auroc, expected_calibration_error

MANY = 256  # rows of the larger batch that is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Shares are in [0, 1]; None: not measured, or the router has no such thing."""

    router: str
    rows: int  # judged, in scope
    outside_rows: int
    accuracy: float
    macro: float
    ece: float | None  # of the probability stated for the choice
    auroc: float | None
    coverage: float | None
    recall: float | None
    own_coverage: float | None  # by the router's own rule to abstain
    own_recall: float | None
    asked: float | None
    passes: float | None
    ms_alone: float | None  # per row, in a batch of 1, above the ready features
    ms_in_many: float | None  # per row, in a batch of `MANY`
    bytes_stored: int
    bytes_to_route: int
    texts_kept: int


def figures_of(contestant: Contestant, problem: Problem, repeats: int) -> Figures:
    """Fit a router and judge it. Args: repeats: of each timed call; 0 for no timing."""
    fitted = contestant.fit(problem)
    judged = problem if contestant.most_rows is None else problem.sampled(contestant.most_rows)
    inside, true = fitted.route(judged.judged.features), judged.task_of(judged.judged)
    scope = _scope_of(fitted, judged, inside)
    asked = None if inside.asked is None else float(inside.asked.mean())
    return Figures(
        router=contestant.name,
        rows=len(true),
        outside_rows=len(judged.outside_judged),
        accuracy=float((inside.tasks == true).mean()),
        macro=macro_accuracy(inside.tasks, true),
        ece=None
        if inside.probabilities is None
        else expected_calibration_error(inside.probabilities, inside.tasks == true),
        auroc=scope.auroc,
        coverage=scope.coverage,
        recall=scope.recall,
        own_coverage=scope.own_coverage,
        own_recall=scope.own_recall,
        asked=asked,
        passes=None if asked is None else 1 + asked * problem.upper_share,
        ms_alone=_milliseconds(fitted, problem.judged.features, 1, repeats),
        ms_in_many=_milliseconds(fitted, problem.judged.features, MANY, repeats),
        bytes_stored=fitted.bytes_stored,
        bytes_to_route=fitted.bytes_to_route,
        texts_kept=fitted.texts_kept,
    )


def mean_of(several: Sequence[Figures]) -> Figures:
    """The mean of each figure over problems of one kind; None where it was not measured on the first."""
    all_of = [asdict(one) for one in several]
    means = {key: fmean(one[key] for one in all_of) for key, value in all_of[0].items() if isinstance(value, float)}
    return Figures(**all_of[0] | means)


def macro_accuracy(chosen: Int64, true: Int64) -> float:
    """The mean over the tasks that occur of the share of their rows that are sent to them."""
    return fmean(float((chosen[true == task] == task).mean()) for task in np.unique(true))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """How well rows that no task knows are told; None where there are none."""

    auroc: float | None = None
    coverage: float | None = None
    recall: float | None = None
    own_coverage: float | None = None
    own_recall: float | None = None


def _scope_of(fitted: Fitted, problem: Problem, inside: Routed) -> _Scope:
    if not len(problem.outside_judged):
        return _Scope()
    outside = fitted.route(problem.outside_judged)
    threshold = choose_threshold(fitted.route(problem.calibration.features).scores, COVERAGE)
    return _Scope(
        auroc=auroc(inside.scores, outside.scores),
        coverage=float((inside.scores >= threshold).mean()),
        recall=float((outside.scores < threshold).mean()),
        own_coverage=None if inside.abstains is None else float(1 - inside.abstains.mean()),
        own_recall=None if outside.abstains is None else float(outside.abstains.mean()),
    )


def _milliseconds(fitted: Fitted, rows: Float32, batch: int, repeats: int) -> float | None:
    """Median per row; None where there is no timing. Where there are fewer rows than a batch takes they come again."""
    if repeats == 0:
        return None
    return 1000 * median(fitted.seconds(np.resize(rows, (batch, rows.shape[1])), repeats)) / batch

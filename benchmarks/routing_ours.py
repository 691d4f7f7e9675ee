"""The router of this package as a contestant: fitted and calibrated on what a portfolio would keep of the tasks.

Ours looks at the trunk's features first and asks for the base's where it is not sure; `OursWhole` asks for them always,
which is the accuracy that the first is to reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.routing_contestants import Fitted, Float64, Routed, seconds_of
from benchmarks.routing_data import Float32
from benchmarks.routing_problems import Problem
from routing.calibration import calibrate
from routing.cascade import Cascade
from routing.cascade_calibration import calibrate_cascade
from routing.router import CentroidRouter
from routing.statistics import Centroids, Totals, centroids_to_bytes, scatter_to_bytes, summarise, totals_to_bytes

COVERAGE = 0.95  # wanted share of in-scope rows that are answered
_SURE = 1e6  # added to the in-scope score where the first look is sure: such rows are never refused, so they rank first


class Ours:
    """The cascade."""

    name = "ours"
    most_rows: int | None = None

    def fit(self, problem: Problem) -> FittedOurs:
        return FittedOurs(problem)


class FittedOurs:
    """A cascade, calibrated as a portfolio calibrates it."""

    def __init__(self, problem: Problem) -> None:
        sums = _sums(problem)
        cascade = Cascade(CentroidRouter(sums.totals, sums.centroids), problem.trunk_width)
        settings, _ = calibrate_cascade(cascade, _validation(problem), COVERAGE)
        self._cascade = cascade.calibrated(settings)
        self.bytes_to_route, self.bytes_stored = sums.bytes_to_route, sums.bytes_stored
        self.texts_kept = 0

    def task_probabilities(self, features: Float32) -> Float64:
        """P(task | x), (N, T)"""
        first, count = features[:, : self._cascade.first_width], len(self._cascade.tasks)
        number = {name: index for index, name in enumerate(self._cascade.tasks)}
        probabilities = np.zeros((len(features), count))
        for row, looked in enumerate(self._cascade.route(first, lambda rows: features[rows], top_k=count)):
            places = [number[name] for name in looked.decision.tasks]
            probabilities[row, places] = looked.decision.scores
        return probabilities

    def route(self, features: Float32) -> Routed:
        made = self._cascade.choose(features)
        return Routed(
            tasks=made.choices.tasks,
            scores=made.choices.in_scope + np.where(made.asked, 0, _SURE),
            margins=made.choices.margins,
            probabilities=made.choices.probabilities,
            abstains=made.choices.abstain,
            asked=made.asked,
        )

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return seconds_of(self._cascade.choose, features, repeats)


class OursWhole:
    """The second look alone."""

    name = "ours, the whole base asked every time"
    most_rows: int | None = None

    def fit(self, problem: Problem) -> Fitted:
        return _FittedWhole(problem)


class _FittedWhole:
    def __init__(self, problem: Problem) -> None:
        sums = _sums(problem)
        router = CentroidRouter(sums.totals, sums.centroids)
        self._router = router.calibrated(calibrate(router, _validation(problem), COVERAGE))
        self.bytes_to_route, self.bytes_stored = sums.bytes_to_route, sums.bytes_stored
        self.texts_kept = 0

    def route(self, features: Float32) -> Routed:
        made = self._router.choose(features)
        return Routed(
            tasks=made.tasks,
            scores=made.in_scope,
            margins=made.margins,
            probabilities=made.probabilities,
            abstains=made.abstain,
            asked=np.ones(len(features), dtype=np.bool_),
        )

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return seconds_of(self._router.choose, features, repeats)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """What a portfolio stores of its tasks for the router."""

    totals: Totals
    centroids: dict[str, Centroids]
    bytes_to_route: int
    bytes_stored: int  # with the scatter of each task, which is read when the task is removed


def _sums(problem: Problem) -> _Sums:
    train, tasks = problem.train, problem.task_of(problem.train)
    totals, centroids, scatter_bytes = Totals.zero(train.features.shape[1]), {}, 0
    for number, name in enumerate(problem.tasks):
        classes, own = np.flatnonzero(problem.task_of_class == number), np.flatnonzero(tasks == number)
        labels = np.searchsorted(classes, train.classes[own])
        centroids[name], scatter = summarise(train.features[own], labels, len(classes), corner=problem.block_width)
        totals = totals.add(centroids[name], scatter)
        scatter_bytes += len(scatter_to_bytes(scatter))
    to_route = len(totals_to_bytes(totals)) + sum(len(centroids_to_bytes(one)) for one in centroids.values())
    return _Sums(totals=totals, centroids=centroids, bytes_to_route=to_route, bytes_stored=to_route + scatter_bytes)


def _validation(problem: Problem) -> list[Float32]:
    """The features of the calibration rows, task by task."""
    true = problem.task_of(problem.calibration)
    return [problem.calibration.features[true == number] for number in range(len(problem.tasks))]

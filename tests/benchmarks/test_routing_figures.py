"""Figures of a router whose answers are written down: each can be counted by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from benchmarks.routing_contestants import Routed
from benchmarks.routing_data import Float32, Int64, Rows
from benchmarks.routing_figures import Figures, figures_of, macro_accuracy, mean_of
from benchmarks.routing_page import figures_table
from benchmarks.routing_problems import Problem


@dataclass(frozen=True)
class Told:
    """A router that reads its answer off the features: task, score, whether it abstains, whether it asked."""

    name: str = "told"
    most_rows: int | None = None
    bytes_stored: int = 30
    bytes_to_route: int = 20
    texts_kept: int = 0

    def fit(self, problem: Problem) -> Told:
        return self

    def route(self, features: Float32) -> Routed:
        return Routed(
            tasks=features[:, 0].astype(np.int64),
            scores=features[:, 1].astype(np.float64),
            margins=np.ones(len(features)),
            probabilities=np.full(len(features), 0.9),
            abstains=features[:, 2] > 0,
            asked=features[:, 3] > 0,
        )

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return [0.004 * len(features), 0.002 * len(features), 0.001 * len(features)][:repeats]


def told(*, tasks: list[int], scores: list[float], abstains: list[int] | None = None, asked: int = 0) -> Float32:
    refused = abstains or [0] * len(tasks)
    return np.array(
        [[*row, number < asked] for number, row in enumerate(zip(tasks, scores, refused, strict=True))], np.float32
    )


def rows(features: Float32, classes: Int64) -> Rows:
    return Rows(texts=("text",) * len(classes), classes=classes, features=features)


@pytest.fixture
def problem() -> Problem:
    """Five judged rows of tasks 0 0 0 1 1, of which the third goes astray; four out-of-scope rows."""
    judged = told(tasks=[0, 0, 1, 1, 1], scores=[9, 8, 7, 6, 0.5], abstains=[0, 0, 0, 1, 1], asked=2)
    calibration = told(tasks=[0] * 20, scores=[float(score) for score in range(20, 0, -1)])
    outside = told(tasks=[0] * 4, scores=[1, 0.25, 6.5, 1.5], abstains=[1, 1, 1, 0])
    return Problem(
        name="told",
        tasks=("a", "b"),
        task_of_class=np.array([0, 1]),
        train=rows(judged, np.array([0, 0, 0, 1, 1])),
        calibration=rows(calibration, np.zeros(20, dtype=np.int64)),
        judged=rows(judged, np.array([0, 0, 0, 1, 1])),
        outside_calibration=outside[:0],
        outside_judged=outside,
        trunk_width=2,
        block_width=2,
        upper_share=0.5,
    )


def test_every_figure_is_what_one_counts_by_hand(problem: Problem) -> None:
    figures = figures_of(Told(), problem, repeats=3)
    assert figures.accuracy == 0.8
    assert figures.macro == pytest.approx((2 / 3 + 1) / 2)
    assert figures.auroc == pytest.approx((4 + 4 + 4 + 3 + 1) / 20)  # out-of-scope rows below each judged row
    assert figures.coverage == 0.8  # the threshold is 2: 19 of 20 calibration scores reach it
    assert figures.recall == 0.75
    assert (figures.own_coverage, figures.own_recall) == (0.6, 0.75)
    assert (figures.asked, figures.passes) == (0.4, 1.2)
    assert figures.ece == pytest.approx(0.1)  # says .9, is right in .8
    assert figures.ms_alone == figures.ms_in_many == pytest.approx(2)
    assert (figures.rows, figures.outside_rows) == (5, 4)


def test_without_out_of_scope_rows_nothing_is_said_about_them(problem: Problem) -> None:
    figures = figures_of(Told(), replace(problem, outside_judged=problem.outside_judged[:0]), repeats=0)
    assert figures.auroc is figures.coverage is figures.recall is figures.own_coverage is figures.own_recall is None
    assert figures.ms_alone is figures.ms_in_many is None
    assert "AUROC" not in figures_table([figures])
    assert "AUROC" in figures_table([figures_of(Told(), problem, repeats=0)])


def test_a_slow_router_is_judged_by_a_sample(problem: Problem) -> None:
    assert figures_of(Told(most_rows=3), problem, repeats=0).rows == 3


def test_macro_accuracy_counts_each_task_alike_and_only_those_that_occur() -> None:
    assert macro_accuracy(np.array([0, 0, 2, 2, 5]), np.array([0, 0, 0, 2, 2])) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_mean_over_draws_is_of_shares_and_leaves_alone_what_was_not_measured(problem: Problem) -> None:
    one = figures_of(Told(), problem, repeats=0)
    other = replace(one, accuracy=1.0, macro=1.0)
    mean: Figures = mean_of([one, other])
    assert mean.accuracy == pytest.approx(0.9)
    assert (mean.router, mean.rows, mean.ms_alone, mean.recall) == (one.router, one.rows, None, one.recall)

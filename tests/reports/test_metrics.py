"""Figures of a results matrix, against worked examples and against plain loops."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.reports import metrics

NAN = math.nan
THREE_TASKS = np.array([[0.80, 0.30, 0.20], [0.90, 0.85, 0.40], [0.70, 0.90, 0.75]])
BASELINE = np.array([0.10, 0.20, 0.25])
OF_A_MATRIX = (
    metrics.average_accuracy,
    metrics.average_incremental_accuracy,
    metrics.plasticity,
    metrics.bwt,
    metrics.forgetting,
)

scores = st.floats(0, 1)


@st.composite
def matrices(draw: st.DrawFn, cells: st.SearchStrategy[float], smallest: int = 0) -> np.ndarray:
    tasks = draw(st.integers(smallest, 6))
    row = st.lists(cells, min_size=tasks, max_size=tasks)
    return np.array(draw(st.lists(row, min_size=tasks, max_size=tasks)), dtype=np.float64).reshape(tasks, tasks)


def mean_of_measured(values: list[float]) -> float | None:
    measured = [value for value in values if not math.isnan(value)]
    return fmean(measured) if measured else None


def plain_incremental(r: np.ndarray) -> float | None:
    steps = [mean_of_measured([r[i, j] for j in range(i + 1)]) for i in range(len(r))]
    return mean_of_measured([step for step in steps if step is not None])


def plain_forgetting(r: np.ndarray) -> float | None:
    last = len(r) - 1
    losses = []
    for j in range(last):
        earlier = [r[i, j] for i in range(j, last) if not math.isnan(r[i, j])]
        if earlier:
            losses.append(max(earlier) - r[last, j])
    return mean_of_measured(losses)


def close(got: float | None, expected: float | None) -> bool:
    if got is None or expected is None:
        return got is expected
    return got == pytest.approx(expected, abs=1e-12)


def test_a_worked_example_gives_every_figure() -> None:
    assert metrics.average_accuracy(THREE_TASKS) == pytest.approx(0.783333, abs=1e-6)
    assert metrics.average_incremental_accuracy(THREE_TASKS) == pytest.approx(0.819444, abs=1e-6)
    assert metrics.plasticity(THREE_TASKS) == pytest.approx(0.80)
    assert metrics.bwt(THREE_TASKS) == pytest.approx(-0.025)
    assert metrics.forgetting(THREE_TASKS) == pytest.approx(0.075)
    assert metrics.fwt(THREE_TASKS, BASELINE) == pytest.approx(0.125)


def test_a_score_from_before_a_task_was_added_is_no_peak_to_fall_from() -> None:
    lucky = THREE_TASKS.copy()
    lucky[0, 1] = 0.95
    assert metrics.forgetting(lucky) == pytest.approx(0.075)


def test_the_last_row_is_no_peak_to_fall_from() -> None:
    """A task that got better since has negative forgetting, which a maximum over all rows would hide as 0."""
    assert metrics.forgetting(np.array([[0.5, NAN], [0.9, 0.8]])) == pytest.approx(-0.4)


@given(matrices(st.one_of(scores, st.just(NAN))))
@settings(max_examples=50)
def test_every_figure_equals_a_plain_loop_over_the_measured_cells(r: np.ndarray) -> None:
    tasks = len(r)
    last = tasks - 1
    assert close(metrics.average_accuracy(r), mean_of_measured([r[last, j] for j in range(tasks)]))
    assert close(metrics.plasticity(r), mean_of_measured([r[j, j] for j in range(tasks)]))
    assert close(metrics.average_incremental_accuracy(r), plain_incremental(r))
    assert close(metrics.bwt(r), mean_of_measured([r[last, j] - r[j, j] for j in range(last)]))
    assert close(metrics.forgetting(r), plain_forgetting(r))


@given(matrices(st.one_of(scores, st.just(NAN))), st.data())
@settings(max_examples=50)
def test_fwt_equals_a_plain_loop_over_the_measured_cells(r: np.ndarray, data: st.DataObject) -> None:
    entries = st.one_of(scores, st.just(NAN))
    b = np.array(data.draw(st.lists(entries, min_size=len(r), max_size=len(r))), dtype=np.float64)
    assert close(metrics.fwt(r, b), mean_of_measured([r[i - 1, i] - b[i] for i in range(1, len(r))]))


@given(matrices(scores, smallest=2))
@settings(max_examples=50)
def test_forgetting_from_the_peak_is_at_least_the_loss_since_the_task_was_added(r: np.ndarray) -> None:
    forgetting, bwt = metrics.forgetting(r), metrics.bwt(r)
    assert forgetting is not None and bwt is not None
    assert forgetting >= -bwt - 1e-12


@given(st.lists(scores, min_size=2, max_size=6))
@settings(max_examples=25)
def test_scores_that_never_change_are_neither_transfer_nor_forgetting(constant: list[float]) -> None:
    r = np.tile(np.array(constant), (len(constant), 1))
    assert metrics.bwt(r) == 0.0
    assert metrics.forgetting(r) == 0.0


@given(matrices(scores, smallest=2))
@settings(max_examples=25)
def test_what_stands_above_the_diagonal_changes_nothing_but_fwt(r: np.ndarray) -> None:
    lower = np.where(np.tri(len(r), dtype=bool), r, NAN)
    for figure in OF_A_MATRIX:
        assert figure(lower) == figure(r)
    assert metrics.fwt(lower, np.zeros(len(r))) is None


def test_a_score_that_was_not_measured_is_not_a_zero() -> None:
    r = np.array([[0.8, NAN, NAN], [NAN, 0.6, NAN], [NAN, 0.4, 0.9]])
    assert metrics.average_accuracy(r) == pytest.approx(0.65)
    assert metrics.bwt(r) == pytest.approx(-0.2)
    assert metrics.forgetting(r) == pytest.approx(0.2)


@pytest.mark.parametrize("figure", OF_A_MATRIX)
def test_figures_of_no_task_and_of_unmeasured_tasks_are_none(figure: object) -> None:
    assert callable(figure)
    assert figure(np.empty((0, 0))) is None
    assert figure(np.full((3, 3), NAN)) is None


def test_figures_that_compare_two_tasks_are_none_for_one() -> None:
    alone = np.array([[0.8]])
    assert metrics.bwt(alone) is None
    assert metrics.forgetting(alone) is None
    assert metrics.fwt(alone, np.array([0.5])) is None
    assert metrics.average_accuracy(alone) == metrics.average_incremental_accuracy(alone) == 0.8


def test_a_matrix_that_is_not_square_is_refused_with_its_shape() -> None:
    with pytest.raises(DataError, match=r"square.*\(2, 3\)"):
        metrics.average_accuracy(np.zeros((2, 3)))


def test_an_infinite_score_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match=r"R\[1, 0\] = inf"):
        metrics.bwt(np.array([[0.5, NAN], [math.inf, 0.5]]))


def test_a_baseline_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(3,\), got shape \(2,\)"):
        metrics.fwt(THREE_TASKS, np.zeros(2))

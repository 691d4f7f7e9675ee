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
ROWS = np.array([100, 200, 100])
OF_A_MATRIX = (
    metrics.average_accuracy,
    metrics.average_incremental_accuracy,
    metrics.plasticity,
    metrics.stability,
    metrics.bwt,
    metrics.forgetting,
)
# What avalanche-lib 0.6.0 says of the worked example, by benchmarks/avalanche_metrics.py; untrained: BASELINE.
AVALANCHE = {"BWT": -0.025, "Forgetting": 0.025, "ForwardTransfer": 0.125, "BWT of tasks": (-0.10, 0.05)}

scores = st.floats(0, 1)
cells = st.one_of(scores, st.just(NAN))


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


def vectors(tasks: int, entries: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(entries, min_size=tasks, max_size=tasks).map(lambda values: np.array(values, dtype=np.float64))


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
    assert metrics.micro_average_accuracy(THREE_TASKS, ROWS) == pytest.approx((70 + 180 + 75) / 400)
    assert metrics.incremental_accuracies(THREE_TASKS) == pytest.approx((0.80, 0.875, 0.783333), abs=1e-6)
    assert metrics.stability(THREE_TASKS) == pytest.approx(0.80)
    assert metrics.worst_task(THREE_TASKS) == (0, 0.70)
    assert metrics.intransigence(THREE_TASKS, np.array([0.85, 0.90, 0.80])) == pytest.approx(0.05)
    assert metrics.routing_loss(THREE_TASKS, THREE_TASKS - np.array([0.03, 0.06, 0.0])) == pytest.approx(0.03)
    assert metrics.bwt_of_tasks(THREE_TASKS) == pytest.approx([-0.10, 0.05, NAN], nan_ok=True)
    assert metrics.forgetting_of_tasks(THREE_TASKS) == pytest.approx([0.20, -0.05, NAN], nan_ok=True)


def test_avalanche_calls_forgetting_what_is_bwt_with_the_sign_turned() -> None:
    """Its difference is to the score when the task came, and not to the best score: on the example .025, not .075."""
    assert metrics.bwt(THREE_TASKS) == pytest.approx(AVALANCHE["BWT"])
    assert metrics.bwt(THREE_TASKS) == pytest.approx(-AVALANCHE["Forgetting"])
    assert metrics.fwt(THREE_TASKS, BASELINE) == pytest.approx(AVALANCHE["ForwardTransfer"])
    assert metrics.bwt_of_tasks(THREE_TASKS)[:-1] == pytest.approx(AVALANCHE["BWT of tasks"])
    assert metrics.forgetting(THREE_TASKS) == pytest.approx(AVALANCHE["Forgetting"] + 0.05)


def test_a_score_from_before_a_task_was_added_is_no_peak_to_fall_from() -> None:
    lucky = THREE_TASKS.copy()
    lucky[0, 1] = 0.95
    assert metrics.forgetting(lucky) == pytest.approx(0.075)


def test_the_last_row_is_no_peak_to_fall_from() -> None:
    """A task that got better since has negative forgetting, which a maximum over all rows would hide as 0."""
    assert metrics.forgetting(np.array([[0.5, NAN], [0.9, 0.8]])) == pytest.approx(-0.4)


@given(matrices(cells))
@settings(max_examples=50)
def test_every_figure_equals_a_plain_loop_over_the_measured_cells(r: np.ndarray) -> None:
    tasks = len(r)
    last = tasks - 1
    assert close(metrics.average_accuracy(r), mean_of_measured([r[last, j] for j in range(tasks)]))
    assert close(metrics.plasticity(r), mean_of_measured([r[j, j] for j in range(tasks)]))
    assert close(metrics.average_incremental_accuracy(r), plain_incremental(r))
    assert close(metrics.bwt(r), mean_of_measured([r[last, j] - r[j, j] for j in range(last)]))
    assert close(metrics.forgetting(r), plain_forgetting(r))
    assert close(metrics.stability(r), mean_of_measured([r[last, j] for j in range(last)]))
    assert close(metrics.bwt(r), mean_of_measured(list(metrics.bwt_of_tasks(r))))
    assert close(metrics.forgetting(r), mean_of_measured(list(metrics.forgetting_of_tasks(r))))


@given(matrices(cells))
@settings(max_examples=50)
def test_the_curve_of_accuracies_equals_a_plain_loop_and_has_their_average_for_its_mean(r: np.ndarray) -> None:
    curve = metrics.incremental_accuracies(r)
    plain = [mean_of_measured([r[i, j] for j in range(i + 1)]) for i in range(len(r))]
    assert all(close(got, expected) for got, expected in zip(curve, plain, strict=True))
    measured = [step for step in curve if step is not None]
    assert close(metrics.average_incremental_accuracy(r), mean_of_measured(measured))


@given(matrices(cells), st.data())
@settings(max_examples=50)
def test_accuracy_by_examples_equals_a_plain_count_of_right_rows(r: np.ndarray, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, 50), min_size=len(r), max_size=len(r))), dtype=np.int64)
    asked = [(n, score) for n, score in zip(rows, r[-1] if len(r) else [], strict=True) if not math.isnan(score)]
    total = sum(n for n, _ in asked)
    expected = sum(n * score for n, score in asked) / total if total else None
    assert close(metrics.micro_average_accuracy(r, rows), expected)


@given(matrices(cells, smallest=1))
@settings(max_examples=50)
def test_tasks_of_equal_size_count_the_same_by_examples_as_by_tasks(r: np.ndarray) -> None:
    assert close(metrics.micro_average_accuracy(r, np.full(len(r), 7)), metrics.average_accuracy(r))


@given(matrices(st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.just(NAN))))
@settings(max_examples=50)
def test_the_worst_task_is_the_first_that_no_measured_task_is_below(r: np.ndarray) -> None:
    now = [(score, task) for task, score in enumerate(r[-1] if len(r) else []) if not math.isnan(score)]
    expected = min(now)[::-1] if now else None
    assert metrics.worst_task(r) == expected


@given(matrices(cells), st.data())
@settings(max_examples=50)
def test_intransigence_equals_a_plain_loop_over_the_measured_cells(r: np.ndarray, data: st.DataObject) -> None:
    reference = data.draw(vectors(len(r), cells))
    expected = mean_of_measured([reference[j] - r[j, j] for j in range(len(r))])
    assert close(metrics.intransigence(r, reference), expected)


@given(matrices(cells), st.data())
@settings(max_examples=50)
def test_routing_loss_counts_only_tasks_that_were_measured_both_ways(oracle: np.ndarray, data: st.DataObject) -> None:
    hidden = data.draw(st.lists(st.booleans(), min_size=len(oracle), max_size=len(oracle)))
    routed = np.where(np.array(hidden, dtype=bool), NAN, oracle / 2)
    last = len(oracle) - 1
    expected = mean_of_measured([oracle[last, j] - routed[last, j] for j in range(len(oracle))])
    assert close(metrics.routing_loss(oracle, routed), expected)


@given(matrices(cells, smallest=2), st.data())
@settings(max_examples=50)
def test_a_task_that_is_easier_throughout_neither_forgets_nor_transfers_more(
    r: np.ndarray, data: st.DataObject
) -> None:
    """BWT and forgetting compare a task with itself, so a constant added to all of its scores drops out."""
    shifted = r + data.draw(vectors(len(r), st.floats(-1, 1)))
    assert close(metrics.bwt(shifted), metrics.bwt(r))
    assert close(metrics.forgetting(shifted), metrics.forgetting(r))


@given(matrices(cells, smallest=2), st.data())
@settings(max_examples=50)
def test_naming_the_old_tasks_in_another_order_changes_no_figure_that_knows_no_steps(
    r: np.ndarray, data: st.DataObject
) -> None:
    """Each task keeps its scores when it came and now; only when it came, among the old ones, is changed."""
    order = [*data.draw(st.permutations(range(len(r) - 1))), len(r) - 1]
    renamed = r[np.ix_(order, order)]
    for figure in (metrics.average_accuracy, metrics.plasticity, metrics.stability, metrics.bwt):
        assert close(figure(renamed), figure(r))


@given(matrices(scores, smallest=2), st.data())
@settings(max_examples=50)
def test_every_figure_of_scores_stays_within_them_and_every_difference_within_one(
    r: np.ndarray, data: st.DataObject
) -> None:
    other = data.draw(vectors(len(r), scores))
    rows = np.arange(1, len(r) + 1)
    for score in (*(figure(r) for figure in OF_A_MATRIX[:4]), metrics.micro_average_accuracy(r, rows)):
        assert score is not None and r.min() - 1e-12 <= score <= r.max() + 1e-12
    routed = np.tile(other, (len(r), 1))
    differences = (metrics.bwt(r), metrics.forgetting(r), metrics.fwt(r, other), metrics.intransigence(r, other))
    for difference in (*differences, metrics.routing_loss(r, routed)):
        assert difference is not None and -1 <= difference <= 1


@given(st.lists(scores, min_size=2, max_size=6), st.data())
@settings(max_examples=50)
def test_isolated_adapters_asked_with_the_task_given_forget_nothing(own: list[float], data: st.DataObject) -> None:
    """Each keeps the score it came with, and is not measured before; nor is it measured at every step."""
    tasks = len(own)
    asked = np.array(data.draw(st.lists(st.booleans(), min_size=tasks**2, max_size=tasks**2))).reshape(tasks, tasks)
    asked[-1] = True
    np.fill_diagonal(asked, True)
    r = np.where(np.tri(tasks, dtype=bool) & asked, np.array(own), NAN)
    assert metrics.bwt(r) == 0.0
    assert metrics.forgetting(r) == 0.0
    assert metrics.intransigence(r, np.array(own)) == 0.0
    assert metrics.routing_loss(r, r) == 0.0
    assert metrics.average_accuracy(r) == metrics.plasticity(r)


@given(matrices(cells), st.data())
@settings(max_examples=50)
def test_fwt_equals_a_plain_loop_over_the_measured_cells(r: np.ndarray, data: st.DataObject) -> None:
    b = data.draw(vectors(len(r), cells))
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


def test_figures_with_a_second_argument_are_none_too_where_nothing_was_measured() -> None:
    for r in (np.empty((0, 0)), np.full((3, 3), NAN)):
        ones = np.ones(len(r))
        assert metrics.micro_average_accuracy(r, ones.astype(np.int64)) is None
        assert metrics.intransigence(r, ones) is None
        assert metrics.fwt(r, ones) is None
        assert metrics.routing_loss(r, np.ones(r.shape)) is None
        assert metrics.worst_task(r) is None
        assert metrics.incremental_accuracies(r) == (None,) * len(r)
        assert metrics.bwt_of_tasks(r).shape == metrics.forgetting_of_tasks(r).shape == (len(r),)


def test_figures_that_compare_two_tasks_are_none_for_one() -> None:
    alone = np.array([[0.8]])
    assert metrics.bwt(alone) is None
    assert metrics.forgetting(alone) is None
    assert metrics.fwt(alone, np.array([0.5])) is None
    assert metrics.stability(alone) is None
    assert np.isnan(metrics.bwt_of_tasks(alone)).all() and np.isnan(metrics.forgetting_of_tasks(alone)).all()
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


def test_row_counts_and_references_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"number of test rows a task, shape \(3,\), got shape \(2,\)"):
        metrics.micro_average_accuracy(THREE_TASKS, np.array([5, 5]))
    with pytest.raises(DataError, match=r"reference score a task, shape \(3,\), got shape \(4,\)"):
        metrics.intransigence(THREE_TASKS, np.zeros(4))


def test_a_negative_row_count_is_refused() -> None:
    with pytest.raises(DataError, match="0 or more test rows a task, got -1"):
        metrics.micro_average_accuracy(THREE_TASKS, np.array([5, -1, 5]))


def test_matrices_of_different_sizes_have_no_routing_loss() -> None:
    with pytest.raises(DataError, match=r"one shape, got shapes \(3, 3\) and \(2, 2\)"):
        metrics.routing_loss(THREE_TASKS, np.zeros((2, 2)))

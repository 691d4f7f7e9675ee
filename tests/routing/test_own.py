"""A covariance of its own for each task: checked against each Σ_t written out, in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.neighbours import ClassIndex, Neighbours
from routing.own import RESCORED, OwnCovariances, Shape
from routing.whitening import Whitening, fit_covariance

WIDTH, CORNER = 7, 4
SIZES = (2, 1, 3, 2, 4, 1)  # classes of each task: more tasks than are rescored
TASK_OF_CLASS = np.repeat(np.arange(len(SIZES)), SIZES)


def whitening_of(seed):
    rows = np.random.default_rng(seed).normal(size=(40, WIDTH)) @ np.random.default_rng(seed + 1).normal(size=(7, 7))
    return fit_covariance(np.zeros(WIDTH), rows.T @ rows, 40).whitening(0.2)


def shape_of(seed, rows, stretch=2.0):
    spread = np.random.default_rng(seed).normal(size=(rows, CORNER)) * np.linspace(0.2, stretch, CORNER)
    return Shape(scatter=spread.T @ spread, degrees=rows)


def written_out(points, means, shapes, share, whitening):
    """(N, K), every class under the covariance of its task; the shared one where a task has no shape."""
    distances = np.empty((len(points), len(means)))
    for column, task in enumerate(TASK_OF_CLASS):
        covariance = np.eye(WIDTH)
        shape = shapes[task]
        if shape is not None and shape.degrees > 0:
            to_white = whitening.matrix[:CORNER, :CORNER]
            own = to_white @ shape.scatter @ to_white.T / shape.degrees
            covariance[:CORNER, :CORNER] = (1 - share) * np.eye(CORNER) + share * own
        inverse, (sign, log_determinant) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
        assert sign == 1
        for row, point in enumerate(points):
            gap = point - means[column]
            distances[row, column] = gap @ inverse @ gap + log_determinant
    return distances


def nearest_tasks(distances):
    """For each row the RESCORED tasks whose nearest class is nearest."""
    by_task = np.stack([distances[:, task == TASK_OF_CLASS].min(axis=1) for task in range(len(SIZES))], axis=1)
    return [set(line[:RESCORED]) for line in np.argsort(by_task, axis=1)]


def problem(seed):
    generator = np.random.default_rng(seed)
    means, points = generator.normal(size=(len(TASK_OF_CLASS), WIDTH)), generator.normal(size=(9, WIDTH))
    shapes = [shape_of(seed + task, rows) for task, rows in enumerate((5, 2, 30, 8, 1, 12))]  # some singular
    return points, means, shapes, whitening_of(seed)


def all_of(points, means):
    return ClassIndex(means).look(points, np.arange(len(means)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 0.9]))
def test_the_nearest_tasks_are_scored_under_their_own_covariances_and_no_others(seed, share):
    points, means, shapes, whitening = problem(seed)
    near = all_of(points, means)
    got = OwnCovariances(shapes, share, whitening, means, TASK_OF_CLASS).rescored(points, near)
    expected = written_out(points, means, shapes, share, whitening)
    assert got.are_all
    np.testing.assert_array_equal(got.columns, near.columns)
    for row, rescored in enumerate(nearest_tasks(near.squared_distances)):
        theirs = np.isin(TASK_OF_CLASS, list(rescored))
        np.testing.assert_allclose(got.squared_distances[row, theirs], expected[row, theirs], rtol=1e-7, atol=1e-9)
        np.testing.assert_array_equal(got.squared_distances[row, ~theirs], near.squared_distances[row, ~theirs])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_where_only_some_classes_were_looked_at_they_are_rescored_in_any_order(seed):
    points, means, shapes, whitening = problem(seed)
    shuffled = np.stack([np.random.default_rng(seed + row).permutation(len(means))[:8] for row in range(len(points))])
    distances = np.take_along_axis(all_of(points, means).squared_distances, shuffled, axis=1)
    near = Neighbours(squared_distances=distances, columns=shuffled, are_all=False)
    got = OwnCovariances(shapes, 0.3, whitening, means, TASK_OF_CLASS).rescored(points, near)
    written = np.take_along_axis(written_out(points, means, shapes, 0.3, whitening), shuffled, axis=1)
    assert not got.are_all
    for row in range(len(points)):
        tasks = TASK_OF_CLASS[shuffled[row]]
        nearest_first = dict.fromkeys(tasks[np.argsort(distances[row])].tolist())
        rescored = np.isin(tasks, list(nearest_first)[:RESCORED])
        expected = np.where(rescored, written[row], distances[row])
        np.testing.assert_allclose(got.squared_distances[row], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("nothing", [None, Shape(scatter=np.zeros((CORNER, CORNER)), degrees=0)])
def test_a_task_without_a_shape_keeps_the_shared_covariance(nothing):
    points, means, shapes, whitening = problem(3)
    shapes[2] = nothing
    near = all_of(points, means)
    got = OwnCovariances(shapes, 0.3, whitening, means, TASK_OF_CLASS).rescored(points, near).squared_distances
    theirs = TASK_OF_CLASS == 2
    assert any(2 in rescored for rescored in nearest_tasks(near.squared_distances))
    np.testing.assert_array_equal(got[:, theirs], near.squared_distances[:, theirs])
    assert (got[:, ~theirs] != near.squared_distances[:, ~theirs]).any()


def test_a_share_of_zero_changes_no_distance():
    points, means, shapes, whitening = problem(4)
    near = all_of(points, means)
    got = OwnCovariances(shapes, 0.0, whitening, means, TASK_OF_CLASS).rescored(points, near)
    np.testing.assert_allclose(got.squared_distances, near.squared_distances, rtol=1e-9, atol=1e-12)


def test_what_was_looked_at_is_left_unchanged():
    points, means, shapes, whitening = problem(5)
    near = all_of(points, means)
    before = near.squared_distances.copy()
    OwnCovariances(shapes, 0.3, whitening, means, TASK_OF_CLASS).rescored(points, near)
    np.testing.assert_array_equal(near.squared_distances, before)


def test_no_rows_are_rescored_to_no_rows():
    points, means, shapes, whitening = problem(6)
    near = all_of(points[:0], means)
    got = OwnCovariances(shapes, 0.3, whitening, means, TASK_OF_CLASS).rescored(points[:0], near)
    assert got.squared_distances.shape == (0, len(means))


def test_a_point_as_far_from_two_classes_is_nearer_to_the_one_that_spreads_its_way():
    """By eye: both classes two away; the first task spreads by 3 along the way to the point, the second by 1."""
    means = np.array([[-2.0, 0.0], [2.0, 0.0]])
    shapes = [Shape(scatter=np.diag([9.0, 1.0]), degrees=1), Shape(scatter=np.eye(2), degrees=1)]
    own = OwnCovariances(shapes, 0.5, Whitening(origin=np.zeros(2), matrix=np.eye(2)), means, np.array([0, 1]))
    got = own.rescored(np.zeros((1, 2)), all_of(np.zeros((1, 2)), means)).squared_distances
    np.testing.assert_allclose(got, [[4 / 5 + np.log(5), 4.0]])

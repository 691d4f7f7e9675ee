"""The threshold and the temperature: checked against looking at every candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.calibration import choose_temperature, choose_threshold


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.sampled_from([0.01, 0.07, 0.5, 0.9, 0.95, 1.0]))
def test_the_threshold_is_the_largest_score_that_keeps_the_wanted_share(scores, coverage):
    def kept(threshold):
        return sum(score >= threshold for score in scores) / len(scores)

    expected = max(score for score in scores if kept(score) >= coverage - 1e-12)
    assert choose_threshold(np.array(scores), coverage) == expected


def test_a_share_that_is_a_little_more_than_whole_in_binary_does_not_keep_one_row_too_many():
    assert 0.07 * 100 > 7
    assert choose_threshold(np.arange(100.0), 0.07) == 93.0


@pytest.mark.parametrize("coverage", [0, -0.1, 1.1, math.nan])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(ValueError, match="coverage must be above 0"):
        choose_threshold(np.ones(3), coverage)


@pytest.mark.parametrize("scores", [np.array([]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_scores_that_cannot_be_ordered_are_refused(scores):
    with pytest.raises(ValueError, match="finite in-scope scores"):
        choose_threshold(scores)


def loss(scores, true, temperature):
    """Mean -log P(true task) where each class is a task of its own."""
    scaled = np.asarray(scores) / temperature
    return float(np.mean(np.log(np.exp(scaled - scaled[np.arange(len(true)), true][:, None]).sum(axis=1))))


def test_no_other_temperature_makes_the_true_tasks_likelier():
    generator = np.random.default_rng(0)
    true = generator.integers(3, size=300)
    scores = -5 * generator.random((300, 3))
    scores[np.arange(300), true] += 2
    best = choose_temperature(scores, np.arange(3), true)
    at_best = loss(scores, true, best)
    assert all(at_best <= loss(scores, true, other) + 1e-6 for other in np.geomspace(0.02, 1000, 200))


def test_scores_ten_times_too_sure_need_a_temperature_ten_times_as_high():
    generator = np.random.default_rng(1)
    true = generator.integers(2, size=400)
    scores = np.where(np.arange(2) == true[:, None], 0.0, -1.0) + generator.normal(size=(400, 2))
    cool, hot = (choose_temperature(scale * scores, np.arange(2), true) for scale in (1, 10))
    assert hot == pytest.approx(10 * cool, rel=0.01)


def test_classes_of_one_task_count_together():
    scores = np.log(np.array([[0.3, 0.3, 0.4]] * 10))
    mostly_first = np.array([0] * 6 + [1] * 4)  # the true shares at temperature 1
    assert choose_temperature(scores, np.array([0, 0, 1]), mostly_first) == pytest.approx(1, rel=0.01)


def test_one_task_has_nothing_to_calibrate():
    assert choose_temperature(np.zeros((4, 2)), np.array([0, 0]), np.zeros(4, dtype=int)) == 1.0


def test_arguments_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="tasks of classes"):
        choose_temperature(np.zeros((4, 2)), np.array([0, 1, 2]), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="from 0 to 1, got 0 to 2"):
        choose_temperature(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 2]))

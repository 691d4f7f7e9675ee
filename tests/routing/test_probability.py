"""P(task | x): checked against a sum written out class by class."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.probability import log_softmax, task_log_probabilities, task_log_probabilities_of_nearest

wild_scores = st.lists(st.lists(st.floats(-50, 0), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(wild_scores)
def test_a_task_gets_the_share_of_its_classes(scores_by_task):
    sizes = [len(scores) for scores in scores_by_task]
    weights = [sum(math.exp(score) for score in scores) for scores in scores_by_task]
    flat = np.array([[score for scores in scores_by_task for score in scores]])
    got = task_log_probabilities(flat, np.cumsum([0, *sizes[:-1]]))
    expected = [math.log(weight / sum(weights)) for weight in weights]
    np.testing.assert_allclose(got[0], expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(wild_scores, st.randoms())
def test_knowing_all_classes_as_the_nearest_ones_in_any_order_gives_the_same(scores_by_task, random):
    pairs = [(score, task) for task, scores in enumerate(scores_by_task) for score in scores]
    exhaustive = task_log_probabilities(
        np.array([[score for score, _ in pairs]]),
        np.cumsum([0, *[len(scores) for scores in scores_by_task][:-1]]),
    )
    mixed = random.sample(pairs, len(pairs))
    nearest = task_log_probabilities_of_nearest(
        np.array([[score for score, _ in mixed]]), np.array([[task for _, task in mixed]]), len(scores_by_task)
    )
    np.testing.assert_allclose(nearest, exhaustive, rtol=1e-9, atol=1e-9)


def test_a_task_with_no_near_class_has_probability_zero():
    got = task_log_probabilities_of_nearest(np.array([[-1.0, -1.0]]), np.array([[0, 2]]), 3)
    np.testing.assert_allclose(np.exp(got), [[0.5, 0, 0.5]])


def test_a_task_far_behind_keeps_its_exact_log():
    got = task_log_probabilities(np.array([[-1e5, -1e5 - 2000, -1e5 - 2001]]), np.array([0, 1]))
    np.testing.assert_allclose(got, [[0, -2000 + math.log(1 + math.exp(-1))]], rtol=1e-12)


def test_a_log_softmax_is_that_of_each_row():
    got = np.exp(log_softmax(np.array([[0.0, math.log(3)], [5.0, 5.0]])))
    np.testing.assert_allclose(got, [[0.25, 0.75], [0.5, 0.5]])

"""Measures of a router: each against a loop over pairs, bins or rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.measures import (
    auroc,
    confusion,
    coverage_risk,
    expected_calibration_error,
    fpr_at_recall,
    recall_at_coverage,
)

few_different = st.lists(st.integers(-3, 3), min_size=1, max_size=12).map(
    lambda numbers: np.array(numbers, dtype=float)
)
rows_with_ties = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=9)
shares = st.floats(0.01, 1.0)


def split(rows):
    return np.array([score for score, _ in rows], dtype=float), np.array([right for _, right in rows])


@settings(max_examples=50, deadline=None)
@given(few_different, few_different)
def test_auroc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half(in_scope, out_of_scope):
    won = sum((a > b) + 0.5 * (a == b) for a in in_scope for b in out_of_scope)
    assert auroc(in_scope, out_of_scope) == pytest.approx(won / (len(in_scope) * len(out_of_scope)))


@settings(max_examples=50, deadline=None)
@given(few_different, few_different, shares)
def test_recall_at_coverage_is_that_of_the_largest_threshold_that_keeps_enough(in_scope, out_of_scope, coverage):
    enough = [t for t in in_scope if sum(s >= t for s in in_scope) >= coverage * len(in_scope) - 1e-9]
    refused = sum(s < max(enough) for s in out_of_scope) / len(out_of_scope)
    assert recall_at_coverage(in_scope, out_of_scope, coverage) == pytest.approx(refused)
    assert fpr_at_recall(in_scope, out_of_scope, coverage) == pytest.approx(1 - refused)


def test_fpr95_lets_five_rows_of_a_hundred_go():
    in_scope = np.arange(100.0)
    assert fpr_at_recall(in_scope, np.array([4.0, 5.0, 6.0, 200.0])) == 0.75  # threshold 5


def test_a_share_that_floating_point_makes_a_little_larger_keeps_no_row_more():
    assert recall_at_coverage(np.arange(100.0), np.array([92.5]), 0.07) == 1.0  # 0.07 * 100 > 7; the threshold is 93


def plain_calibration_error(probabilities, is_right, bins):
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [i for i, p in enumerate(probabilities) if low < p <= high or (number == 0 and p == 0)]
        if inside:
            accuracy = sum(is_right[i] for i in inside) / len(inside)
            confidence = sum(probabilities[i] for i in inside) / len(inside)
            error += len(inside) / len(probabilities) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_is_that_of_a_loop_over_bins(bins):
    generator = np.random.default_rng(bins)
    probabilities = np.concatenate([generator.uniform(size=200), [0.0, 1.0, 0.25, 0.5]])
    is_right = generator.uniform(size=204) < probabilities**2
    error = expected_calibration_error(probabilities, is_right, bins)
    assert error == pytest.approx(plain_calibration_error(probabilities, is_right, bins))
    assert error > 0.05


def test_probabilities_that_come_true_have_no_calibration_error():
    assert expected_calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == 0.0
    assert expected_calibration_error(np.ones(3), np.zeros(3, dtype=bool)) == 1.0


def test_a_probability_on_a_border_counts_in_the_lower_bin():
    probabilities, is_right = np.array([0.5, 0.25]), np.array([True, False])
    assert expected_calibration_error(probabilities, is_right, bins=2) == 0.125  # apart: (.5 + .25) / 2


def expected_risks(scores, is_right):
    """For one answer, two, … all: the mean error over every order in which higher scores come first."""
    risks = []
    for kept in range(1, len(scores) + 1):
        least = sorted(scores, reverse=True)[kept - 1]
        above = [not right for score, right in zip(scores, is_right, strict=True) if score > least]
        level = [not right for score, right in zip(scores, is_right, strict=True) if score == least]
        risks.append((sum(above) + (kept - len(above)) * sum(level) / len(level)) / kept)
    return risks


@settings(max_examples=50, deadline=None)
@given(rows_with_ties, st.lists(shares, max_size=4))
def test_risk_at_a_coverage_is_the_error_among_the_most_confident_whatever_the_order_of_ties(rows, coverages):
    scores, is_right = split(rows)
    plain = expected_risks(scores, is_right)
    curve = coverage_risk(scores, is_right, coverages)
    assert curve.coverages == tuple(coverages)
    assert curve.risks == pytest.approx([plain[math.ceil(c * len(plain) - 1e-9) - 1] for c in coverages])
    assert curve.area == pytest.approx(sum(plain) / len(plain))


def test_the_area_is_small_where_the_errors_are_the_least_confident():
    is_right = np.array([True, True, True, False])
    assert coverage_risk(np.array([4.0, 3.0, 2.0, 1.0]), is_right, [0.75, 1]).risks == (0.0, 0.25)
    assert coverage_risk(np.array([4.0, 3.0, 2.0, 1.0]), is_right, []).area == pytest.approx(0.25 / 4)
    assert coverage_risk(np.array([1.0, 2.0, 3.0, 4.0]), is_right, []).area == pytest.approx(
        (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    )


def test_confusion_counts_rows_by_true_and_chosen_task():
    counts = confusion(np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 0, 0], [1, 0, 2]])
    np.testing.assert_array_equal(confusion(np.array([], dtype=int), np.array([], dtype=int), 2), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: auroc(np.array([]), np.ones(2)), "in-scope scores"),
        (lambda: auroc(np.ones(2), np.array([np.nan])), "out-of-scope scores"),
        (lambda: fpr_at_recall(np.ones(2), np.array([])), "out-of-scope scores"),
        (lambda: recall_at_coverage(np.ones(2), np.ones(2), 0.0), "above 0"),
        (lambda: recall_at_coverage(np.ones(2), np.ones(2), 1.1), "at most 1"),
        (lambda: expected_calibration_error(np.array([0.5, 1.5]), np.ones(2, dtype=bool)), "from 0 to 1"),
        (lambda: expected_calibration_error(np.ones(2), np.ones(3, dtype=bool)), "as many"),
        (lambda: expected_calibration_error(np.ones(2), np.ones(2, dtype=bool), bins=0), "one bin"),
        (lambda: coverage_risk(np.ones(2), np.ones(3, dtype=bool), [1]), "as many"),
        (lambda: coverage_risk(np.ones(2), np.ones(2, dtype=bool), [0]), "above 0"),
        (lambda: confusion(np.array([0, -1]), np.array([0, 0]), 2), "from 0 to 1"),
        (lambda: confusion(np.array([0]), np.array([2]), 2), "from 0 to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()

"""Whitening: checked against an inverse covariance, and on scatters too poor for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import oas

from routing.whitening import fit_whitening, oas_shrinkage


def centred_rows(seed, rows, width):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, width)) @ generator.normal(size=(width, width))
    return values - values.mean(axis=0)


def test_whitened_distances_are_mahalanobis_distances_of_the_shrunken_covariance():
    rows = centred_rows(0, 50, 6)
    whitening = fit_whitening(np.full(6, 3.0), rows.T @ rows, 49)
    covariance = rows.T @ rows / 49
    rho = whitening.shrinkage
    shrunken = (1 - rho) * covariance + rho * np.trace(covariance) / 6 * np.eye(6)
    x, y = rows[:2]
    left, right = whitening.apply(np.stack([x, y]))
    assert (left - right) @ (left - right) == pytest.approx((x - y) @ np.linalg.inv(shrunken) @ (x - y), rel=1e-9)


def test_the_origin_goes_to_zero():
    origin = np.array([1.0, -2.0, 7.0])
    whitening = fit_whitening(origin, np.eye(3) * 5, 10)
    np.testing.assert_array_equal(whitening.apply(origin[None]), np.zeros((1, 3)))


def test_much_data_becomes_round():
    rows = centred_rows(1, 20_000, 3)
    white = fit_whitening(np.zeros(3), rows.T @ rows, len(rows) - 1).apply(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.03)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 30))
def test_the_shrinkage_is_a_share_and_every_distance_is_finite_even_with_more_features_than_rows(seed, rows, width):
    values = centred_rows(seed, rows, width)
    whitening = fit_whitening(np.zeros(width), values.T @ values, rows - 1)
    assert 0 <= whitening.shrinkage <= 1
    white = whitening.apply(values)
    assert np.isfinite(white).all()
    assert np.abs(white).max() > 0


def test_the_shrinkage_agrees_with_scikit_learn_where_the_two_over_d_it_leaves_out_is_small():
    rows = centred_rows(2, 80, 200)
    _, theirs = oas(rows, assume_centered=True)
    assert oas_shrinkage(rows.T @ rows / 80, 80) == pytest.approx(theirs, rel=0.01)


def test_more_rows_need_less_shrinkage():
    few, many = centred_rows(3, 10, 20), centred_rows(3, 1000, 20)
    assert oas_shrinkage(few.T @ few / 9, 9) > 5 * oas_shrinkage(many.T @ many / 999, 999)


def test_a_round_covariance_is_shrunk_all_the_way():
    assert oas_shrinkage(np.eye(5) * 2, 100) == 1.0


@pytest.mark.parametrize(("scatter", "degrees"), [(np.zeros((3, 3)), 5), (np.eye(3), 0)])
def test_a_scatter_that_says_nothing_leaves_distances_euclidean(scatter, degrees):
    whitening = fit_whitening(np.zeros(3), scatter, degrees)
    np.testing.assert_array_equal(whitening.matrix, np.eye(3))
    assert whitening.shrinkage == 1.0


def test_a_feature_that_never_varies_does_not_divide_by_zero():
    rows = centred_rows(4, 5000, 2)
    rows = np.column_stack([rows, np.zeros(len(rows))])
    white = fit_whitening(np.zeros(3), rows.T @ rows, len(rows) - 1).apply(rows + [0, 0, 1.0])
    assert np.isfinite(white).all()

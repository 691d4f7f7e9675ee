"""Whitening: checked against an inverse covariance, and on scatters too poor for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import oas

from routing.statistics import summarise
from routing.whitening import Whitening, fit_covariance, oas_shrinkage, times_lower, times_upper


def centred_rows(seed, rows, width):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, width)) @ generator.normal(size=(width, width))
    return values - values.mean(axis=0)


def covariance_of(rows, degrees=None):
    return fit_covariance(np.full(rows.shape[1], 3.0), rows.T @ rows, len(rows) - 1 if degrees is None else degrees)


def shrunk(rows, share, degrees=None):
    """Σ_ρ, written out."""
    covariance = rows.T @ rows / (len(rows) - 1 if degrees is None else degrees)
    return (1 - share) * covariance + share * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def assert_squared_distances_are_under(inverse, white, rows):
    for left in range(len(rows)):
        for right in range(left):
            gap, white_gap = rows[left] - rows[right], white[left] - white[right]
            assert white_gap @ white_gap == pytest.approx(gap @ inverse @ gap, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 30), st.integers(2, 20), st.sampled_from([0.03, 0.3, 0.8, 1.0]))
def test_squared_distance_is_the_mahalanobis_distance_of_the_shrunken_covariance(seed, rows, width, share):
    """Also with more features than rows."""
    values = centred_rows(seed, rows, width)
    white = covariance_of(values).whitening(share).apply(values[:3])
    assert_squared_distances_are_under(np.linalg.inv(shrunk(values, share)), white, values[:3])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 15), st.sampled_from([0.03, 0.5]), st.data())
def test_the_leading_features_alone_are_whitened_by_the_corner_of_the_covariance(seed, width, share, data):
    leading = data.draw(st.integers(1, width))
    rows = centred_rows(seed, 12, width)
    covariance = covariance_of(rows)
    whole, first = covariance.whitening(share), covariance.whitening(share).leading(leading)
    white = first.apply(rows[:4, :leading])
    np.testing.assert_allclose(white, whole.apply(rows[:4])[:, :leading], rtol=1e-9, atol=1e-9)
    inverse = np.linalg.inv(shrunk(rows, share)[:leading, :leading])
    assert_squared_distances_are_under(inverse, white, rows[:4, :leading])
    cut_first = covariance.leading(leading).whitening(share)
    np.testing.assert_allclose(cut_first.apply(rows[:4, :leading]), white, rtol=1e-9, atol=1e-9)
    assert covariance.leading(leading).oas == covariance.oas


def test_the_origin_goes_to_zero():
    origin = np.array([1.0, -2.0, 7.0])
    whitening = fit_covariance(origin, np.eye(3) * 5, 10).whitening(0.5)
    np.testing.assert_array_equal(whitening.apply(origin[None]), np.zeros((1, 3)))


def test_much_data_becomes_round():
    rows = centred_rows(1, 20_000, 3)
    white = covariance_of(rows).whitening(0.0).apply(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.01)


def test_the_least_shrinkage_is_a_ten_thousandth():
    rows = centred_rows(1, 50, 4)
    covariance = covariance_of(rows)
    np.testing.assert_array_equal(covariance.whitening(0.0).matrix, covariance.whitening(1e-4).matrix)
    assert (covariance.whitening(1e-4).matrix != covariance.whitening(2e-4).matrix).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 30), st.sampled_from([None, 0.0, 0.5]))
def test_the_shrinkage_is_a_share_and_every_distance_is_finite_even_with_more_features_than_rows(
    seed, rows, width, share
):
    values = centred_rows(seed, rows, width)
    covariance = covariance_of(values)
    assert 0 <= covariance.oas <= 1
    white = covariance.whitening(covariance.oas if share is None else share).apply(values)
    assert np.isfinite(white).all()
    assert np.abs(white).max() > 0


@pytest.mark.parametrize("width", [20, 100, 400])
def test_a_singular_scatter_that_was_rounded_to_float32_can_be_whitened_with_any_share(width):
    """Rounding leaves it variances a little below zero: by about 2e-7 of their mean with 60 rows of 400 features."""
    rows = np.random.default_rng(2).normal(size=(width // 5, width)) * np.linspace(2, 0.01, width) + 3
    _, scatter = summarise(rows, np.zeros(len(rows), dtype=int), 1)
    covariance = fit_covariance(rows.mean(axis=0), scatter, len(rows) - 1)
    assert np.linalg.eigvalsh(covariance.matrix).min() < 0
    assert np.isfinite(covariance.whitening(0.0).apply(rows)).all()


def test_the_shrinkage_agrees_with_scikit_learn_where_the_two_over_d_it_leaves_out_is_small():
    rows = centred_rows(2, 80, 200)
    _, theirs = oas(rows, assume_centered=True)
    assert oas_shrinkage(rows.T @ rows / 80, 80) == pytest.approx(theirs, rel=0.01)
    assert covariance_of(rows, degrees=80).oas == oas_shrinkage(rows.T @ rows / 80, 80)


def test_the_shrinkage_is_that_of_the_equation():
    n, rows = 9, centred_rows(6, 9, 4) * np.array([9, 1, 1, 1])
    covariance = rows.T @ rows / n
    trace, trace_of_square = np.trace(covariance), np.trace(covariance @ covariance)
    expected = ((1 - 2 / 4) * trace_of_square + trace**2) / ((n + 1 - 2 / 4) * (trace_of_square - trace**2 / 4))
    assert expected < 0.9
    assert oas_shrinkage(covariance, n) == pytest.approx(expected, rel=1e-12)


def test_more_rows_need_less_shrinkage():
    few, many = centred_rows(3, 10, 20), centred_rows(3, 1000, 20)
    assert oas_shrinkage(few.T @ few / 9, 9) > 5 * oas_shrinkage(many.T @ many / 999, 999)


def test_a_round_covariance_is_shrunk_all_the_way():
    assert oas_shrinkage(np.eye(5) * 2, 100) == 1.0


@pytest.mark.parametrize(("scatter", "degrees"), [(np.zeros((3, 3)), 5), (np.eye(3), 0)])
def test_a_scatter_that_says_nothing_leaves_distances_euclidean(scatter, degrees):
    covariance = fit_covariance(np.zeros(3), scatter, degrees)
    assert covariance.oas == 1.0
    rows = centred_rows(5, 4, 3)
    for share in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(covariance.whitening(share).apply(rows), rows, rtol=1e-15)


def test_a_feature_that_never_varies_does_not_divide_by_zero():
    rows = centred_rows(4, 5000, 2)
    rows = np.column_stack([rows, np.zeros(len(rows))])
    white = covariance_of(rows).whitening(0.0).apply(rows + np.array([0, 0, 1.0]))
    assert np.isfinite(white).all()


def test_a_variance_that_subtraction_left_just_below_zero_does_no_harm():
    degrees = 10**14  # so many that nothing is shrunk
    covariance = fit_covariance(np.zeros(2), degrees * np.diag([1.0, -1e-9]), degrees)
    assert np.isfinite(covariance.whitening(covariance.oas).matrix).all()


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_triangular_product_is_the_full_one_and_does_not_read_the_other_triangle(rows):
    dice = np.random.default_rng(0)
    matrix, points = dice.normal(size=(7, 7)), dice.normal(size=(rows, 7))
    np.testing.assert_allclose(times_lower(points.copy(), matrix), points @ np.tril(matrix).T, rtol=0, atol=1e-13)
    np.testing.assert_allclose(times_upper(points.copy(), matrix), points @ np.triu(matrix), rtol=0, atol=1e-13)


def test_whitening_leaves_the_features_as_they_are():
    whitening = Whitening(origin=np.zeros(3), matrix=np.tril(np.ones((3, 3))))
    features = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(whitening.apply(features), [[1.0, 3.0, 6.0]])
    assert features.tolist() == [[1.0, 2.0, 3.0]]

"""Whitening: checked against an inverse covariance, and on scatters too poor for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import oas

from routing.whitening import fit_spectrum, oas_shrinkage


def centred_rows(seed, rows, width):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, width)) @ generator.normal(size=(width, width))
    return values - values.mean(axis=0)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_scaled_distances_are_mahalanobis_distances_of_the_shrunken_covariance(share):
    rows = centred_rows(0, 50, 6)
    spectrum = fit_spectrum(np.full(6, 3.0), rows.T @ rows, 49)
    covariance = rows.T @ rows / 49
    shrunken = (1 - share) * covariance + share * np.trace(covariance) / 6 * np.eye(6)
    x, y = rows[:2]
    left, right = spectrum.coordinates(rows[:2]) * spectrum.scales(share)
    assert (left - right) @ (left - right) == pytest.approx((x - y) @ np.linalg.inv(shrunken) @ (x - y), rel=1e-9)
    assert spectrum.oas == oas_shrinkage(covariance, 49)


def test_the_origin_goes_to_zero():
    origin = np.array([1.0, -2.0, 7.0])
    spectrum = fit_spectrum(origin, np.eye(3) * 5, 10)
    np.testing.assert_array_equal(spectrum.coordinates(origin[None]), np.zeros((1, 3)))


def test_much_data_becomes_round():
    rows = centred_rows(1, 20_000, 3)
    spectrum = fit_spectrum(np.zeros(3), rows.T @ rows, len(rows) - 1)
    np.testing.assert_allclose(np.cov((spectrum.coordinates(rows) * spectrum.scales(0)).T), np.eye(3), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 30), st.sampled_from([None, 0.0, 0.5]))
def test_the_shrinkage_is_a_share_and_every_distance_is_finite_even_with_more_features_than_rows(
    seed, rows, width, share
):
    values = centred_rows(seed, rows, width)
    spectrum = fit_spectrum(np.zeros(width), values.T @ values, rows - 1)
    assert 0 <= spectrum.oas <= 1
    white = spectrum.coordinates(values) * spectrum.scales(spectrum.oas if share is None else share)
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
    spectrum = fit_spectrum(np.zeros(3), scatter, degrees)
    assert spectrum.oas == 1.0
    rows = centred_rows(5, 4, 3)
    for share in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(spectrum.coordinates(rows) * spectrum.scales(share), rows)


def test_a_feature_that_never_varies_does_not_divide_by_zero():
    rows = centred_rows(4, 5000, 2)
    rows = np.column_stack([rows, np.zeros(len(rows))])
    spectrum = fit_spectrum(np.zeros(3), rows.T @ rows, len(rows) - 1)
    assert np.isfinite(spectrum.coordinates(rows + np.array([0, 0, 1.0])) * spectrum.scales(0)).all()


def test_a_variance_that_subtraction_left_just_below_zero_does_no_harm():
    degrees = 10**14  # so many that nothing is shrunk
    spectrum = fit_spectrum(np.zeros(2), degrees * np.diag([1.0, -1e-9]), degrees)
    assert np.isfinite(spectrum.scales(spectrum.oas)).all()

"""The threshold and the temperature: checked against looking at every candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.calibration import (
    FEWEST_ROWS,
    MOST_ROWS,
    SHARES,
    calibrate,
    choose_shrinkage,
    choose_temperature,
    choose_threshold,
    sample_evenly,
)
from routing.neighbours import NEAREST
from routing.router import Calibration, CentroidRouter
from routing.statistics import Totals, summarise


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
    cool, hot = (choose_temperature(scale * scores, np.arange(2), true) for scale in (5, 50))
    assert cool > 1
    assert hot == pytest.approx(10 * cool, rel=0.01)


def test_classes_of_one_task_count_together():
    scores = np.log(np.array([[0.3, 0.3, 0.4]] * 10))
    mostly_first = np.array([0] * 6 + [1] * 4)  # the true shares at temperature 1
    assert choose_temperature(scores, np.array([0, 0, 1]), mostly_first) == pytest.approx(1, rel=0.01)


def test_a_temperature_never_makes_probabilities_surer_than_the_distances():
    true = np.array([0, 1] * 50)
    scores = np.where(np.arange(2) == true[:, None], 0.0, -1.0)  # always right: the likeliest temperature would be 0
    assert choose_temperature(scores, np.arange(2), true) == pytest.approx(1, rel=0.01)


def test_one_task_has_nothing_to_calibrate():
    assert choose_temperature(np.zeros((4, 2)), np.array([0, 0]), np.zeros(4, dtype=int)) == 1.0


def test_arguments_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="tasks of classes"):
        choose_temperature(np.zeros((4, 2)), np.array([0, 1, 2]), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="from 0 to 1, got 0 to 2"):
        choose_temperature(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 2]))


def noisy_portfolio(tasks, classes, width, rows, *, narrowest=0.1, seed=0):
    """A router of clusters that spread by `narrowest` to 2, as the direction is, and validation rows of each task."""
    generator = np.random.default_rng(seed)
    rotation = np.linalg.qr(generator.normal(size=(width, width)))[0]
    mixing = np.linspace(narrowest, 2, width)[:, None] * rotation
    means = generator.normal(size=(tasks, classes, width)) * 0.8
    totals, centroids = Totals.zero(width), {}
    for number in range(tasks):
        noise = generator.normal(size=(classes * rows, width)) @ mixing
        one, scatter = summarise(
            means[number].repeat(rows, axis=0) + noise, np.repeat(np.arange(classes), rows), classes
        )
        totals, centroids[f"task{number}"] = totals.add(one, scatter), one
    validation = [
        (some.repeat(8, axis=0) + generator.normal(size=(classes * 8, width)) @ mixing).astype(np.float32)
        for some in means
    ]
    return CentroidRouter(totals, centroids), validation


def loss_of_share(router, share, features, true):
    """The best loss over a fine grid of temperatures, every class mean looked at, written out."""
    values, vectors = np.linalg.eigh(covariance_of(router))
    shrunken = (1 - share) * values + share * values.mean()
    gaps = (features - router.spectrum.origin)[:, None] - class_means_of(router)
    distances = np.einsum("nkd,de,nke->nk", gaps, (vectors / shrunken) @ vectors.T, gaps, optimize=True)
    own = router.task_of_class == true[:, None]
    best = np.inf
    for temperature in np.geomspace(0.1, 1000, 200):
        weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * temperature))
        with np.errstate(divide="ignore"):
            best = min(best, -np.log((weights * own).sum(axis=1) / weights.sum(axis=1)).mean())
    return best


def covariance_of(router):
    spectrum = router.spectrum
    return (spectrum.vectors * spectrum.variances) @ spectrum.vectors.T


def class_means_of(router):
    return router.class_coordinates @ router.spectrum.vectors.T


@pytest.mark.parametrize(("rows", "narrowest", "best"), [(2, 0.1, 0.2), (2, 0.5, 0.3), (2, 1.0, 0.5), (40, 0.5, 0.03)])
def test_no_other_share_makes_the_true_tasks_likelier(rows, narrowest, best):
    router, validation = noisy_portfolio(tasks=4, classes=3, width=20, rows=rows, narrowest=narrowest)
    features, true = np.concatenate(validation), np.repeat(np.arange(4), 24)
    got = choose_shrinkage(router.spectrum, router.class_coordinates, features, router.task_of_class, true)
    losses = {share: loss_of_share(router, share, features, true) for share in sorted({router.spectrum.oas, *SHARES})}
    least = min(losses.values())
    assert losses[got.shrinkage] == losses[best] == least
    assert sorted(losses.values())[1] > least + 0.003  # clearly so


def test_of_shares_that_make_no_difference_the_smallest_is_taken():
    router, _ = noisy_portfolio(tasks=2, classes=2, width=4, rows=5, narrowest=2)
    features = class_means_of(router).repeat(20, axis=0) + router.spectrum.origin  # each on its own class mean
    true = router.task_of_class.repeat(20)
    got = choose_shrinkage(router.spectrum, router.class_coordinates, features, router.task_of_class, true)
    assert got.shrinkage == min(router.spectrum.oas, *SHARES)


def test_little_data_is_shrunk_more_than_much():
    few, many = (calibrate(*noisy_portfolio(4, 3, 20, rows), 0.95).shrinkage for rows in (2, 200))
    assert few > many


def test_the_temperature_that_comes_with_a_share_is_the_one_for_it():
    router, validation = noisy_portfolio(tasks=4, classes=3, width=10, rows=4)
    chosen = calibrate(router, validation, 0.95)
    distances = router.calibrated(chosen).negative_half_distances(np.concatenate(validation))
    expected = choose_temperature(distances, router.task_of_class, np.repeat(np.arange(4), 24))
    assert chosen.temperature == pytest.approx(expected, rel=0.01)


def test_among_more_classes_than_are_looked_at_rows_far_from_their_task_still_make_it_more_modest():
    router, validation = noisy_portfolio(tasks=60, classes=2, width=6, rows=30, narrowest=1)
    assert len(router.task_of_class) > NEAREST
    features, true = np.concatenate(validation), np.repeat(np.arange(60), 16)
    true[::3] = np.random.default_rng(0).permutation(true[::3])  # a third is wrong, and mostly far away
    got = choose_shrinkage(router.spectrum, router.class_coordinates, features, router.task_of_class, true)
    same = router.calibrated(Calibration(threshold=0, temperature=1, shrinkage=got.shrinkage))
    with_all = choose_temperature(same.negative_half_distances(features), router.task_of_class, true)
    assert got.temperature > 0.95 * with_all


def test_with_few_validation_rows_or_one_task_the_share_stays_the_one_that_needs_none():
    router, validation = noisy_portfolio(tasks=4, classes=3, width=20, rows=2)
    assert calibrate(router, validation, 0.95).shrinkage != router.spectrum.oas
    fewer = [rows[: (FEWEST_ROWS - 1) // 4] for rows in validation]
    assert calibrate(router, fewer, 0.95).shrinkage == router.spectrum.oas
    alone, rows = noisy_portfolio(tasks=1, classes=3, width=20, rows=2)
    got = calibrate(alone, [np.concatenate(rows * 3)], 0.95)
    assert (got.shrinkage, got.temperature) == (alone.spectrum.oas, 1.0)


def test_without_any_validation_row_nothing_is_ever_abstained_on():
    router, validation = noisy_portfolio(tasks=2, classes=3, width=5, rows=4)
    got = calibrate(router, [rows[:0] for rows in validation], 0.95)
    assert (got.threshold, got.temperature, got.shrinkage) == (-math.inf, 1.0, router.spectrum.oas)


def test_the_threshold_keeps_the_wanted_share_whatever_settings_the_router_had():
    router, validation = noisy_portfolio(tasks=3, classes=2, width=5, rows=10)
    settings = calibrate(router, validation, 0.9)
    choices = router.calibrated(settings).choose(np.concatenate(validation))
    assert (~choices.abstain).sum() == math.ceil(0.9 * 48)
    assert calibrate(router.calibrated(settings), validation, 0.9) == settings


def test_a_true_task_without_a_class_is_refused():
    router, validation = noisy_portfolio(tasks=2, classes=3, width=5, rows=4)
    with pytest.raises(ValueError, match="true tasks from 0 to 1, got 2 to 2"):
        choose_shrinkage(router.spectrum, router.class_coordinates, validation[0], router.task_of_class, np.full(24, 2))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 200))
def test_a_sample_is_even_and_as_large_as_it_may_be(sizes, most):
    got = sample_evenly(sizes, most)
    counts = [len(rows) for rows in got]
    largest = max(counts)
    assert all(count == min(size, largest) for count, size in zip(counts, sizes, strict=True))
    assert sum(counts) <= max(most, sum(size > 0 for size in sizes))
    one_more = sum(min(size, largest + 1) for size in sizes)
    assert one_more > most or counts == sizes
    for rows, size in zip(got, sizes, strict=True):
        assert list(rows) == sorted(set(rows)) and all(0 <= row < size for row in rows)


def test_a_sample_of_a_group_does_not_depend_on_its_place():
    forwards, backwards = sample_evenly([50, 30, 5], 40), sample_evenly([5, 30, 50], 40)
    for one, other in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(one, other)


def test_very_much_validation_data_is_sampled():
    assert sum(len(rows) for rows in sample_evenly([2000] * 7, MOST_ROWS)) == 428 * 7

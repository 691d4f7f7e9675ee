"""The settings of a router: each checked against looking at every candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.calibration import (
    FEWEST_ROWS,
    MOST_ROWS,
    OWN_SHARES,
    SHRINKAGES,
    calibrate,
    choose_temperature,
    choose_threshold,
    rows_to_look_at,
    sample_evenly,
    sharpened,
)
from routing.neighbours import NEAREST
from routing.router import Calibration, CentroidRouter
from routing.statistics import Centroids, Totals, summarise


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


def round_router(means_of_tasks):
    """A router of classes with these means (C, d) and the identity as covariance."""
    tasks = {
        f"task{number}": Centroids(counts=np.full(len(means), 10), means=np.asarray(means, dtype=np.float64))
        for number, means in enumerate(means_of_tasks)
    }
    width, classes = next(iter(tasks.values())).width, sum(len(one.counts) for one in tasks.values())
    means = np.concatenate([one.means for one in tasks.values()])
    within = np.eye(width) * 9 * classes
    totals = Totals(rows=10 * classes, classes=classes, feature_sum=10 * means.sum(axis=0), within=within)
    return CentroidRouter(totals, tasks)


def loss(router, features, true, temperature):
    """Mean -log P(true task), class by class."""
    found = 0.0
    for feature, task in zip(features, true, strict=True):
        distances = ((feature - router.class_means) ** 2).sum(axis=1)
        weights = np.exp((distances.min() - distances) / (2 * temperature))
        found -= math.log(weights[router.task_of_class == task].sum() / weights.sum())
    return found / len(true)


def doubtful(seed, scale=1.0, rows=200):
    """A router of three tasks of two classes, and rows about its means that often are nearer to another's."""
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(3, 2, 4))
    true = generator.integers(3, size=rows)
    features = means[true, generator.integers(2, size=rows)] + generator.normal(scale=1.3, size=(rows, 4))
    return round_router(scale * means), scale * features, true


def test_no_other_temperature_makes_the_true_tasks_likelier():
    router, features, true = doubtful(0)
    best = choose_temperature(router, features, true)
    assert best > 1.2
    at_best = loss(router, features, true, best)
    assert all(at_best <= loss(router, features, true, other) + 1e-6 for other in np.geomspace(1, 1000, 60))


def test_distances_ten_times_too_sure_need_a_temperature_ten_times_as_high():
    cool, hot = (choose_temperature(*doubtful(1, scale)) for scale in (1, math.sqrt(10)))
    assert cool > 1
    assert hot == pytest.approx(10 * cool, rel=0.01)


def test_classes_of_one_task_count_together():
    """At temperature 4 the three classes have the chances .3, .3 and .4, and six of ten rows are of the first task."""
    means = np.diag(np.sqrt(-2 * 4 * np.log([0.3, 0.3, 0.4])))
    mostly_first = np.array([0] * 6 + [1] * 4)
    router = round_router([means[:2], means[2:]])
    assert choose_temperature(router, np.zeros((10, 3)), mostly_first) == pytest.approx(4, rel=0.01)


def test_a_temperature_never_makes_probabilities_surer_than_the_distances():
    """Always right: the likeliest temperature would be 0."""
    router = round_router([[[0.0, 0.0]], [[1.0, 0.0]]])
    found = choose_temperature(router, router.class_means.repeat(50, axis=0), np.repeat([0, 1], 50))
    assert found == pytest.approx(1, rel=0.01)


def test_one_task_or_no_row_has_nothing_to_calibrate():
    router, features, true = doubtful(2)
    assert choose_temperature(router, features[:0], true[:0]) == 1.0
    assert choose_temperature(round_router([np.eye(3)]), np.ones((4, 3)), np.zeros(4, dtype=int)) == 1.0


def test_a_true_task_that_the_router_does_not_know_is_refused():
    router, features, _ = doubtful(2)
    with pytest.raises(ValueError, match="true tasks from 0 to 2, got 3"):
        choose_temperature(router, features[:2], np.array([0, 3]))


def noisy_portfolio(tasks, classes, width, rows, *, narrowest=0.1, seed=0, corner=0, stretch=1.0):
    """A router of clusters that spread by `narrowest` to 2, as the direction is, and validation rows of each task.

    Each task's first features spread by `stretch` times as much as those of the task before.
    """
    generator = np.random.default_rng(seed)
    rotation = np.linalg.qr(generator.normal(size=(width, width)))[0]
    mixing = np.linspace(narrowest, 2, width)[:, None] * rotation
    means = generator.normal(size=(tasks, classes, width)) * 0.8
    leading = np.arange(width) < max(corner, 1)
    mixings = [mixing * np.where(leading, stretch**number, 1.0) for number in range(tasks)]
    totals, centroids = Totals.zero(width), {}
    for number in range(tasks):
        noise = generator.normal(size=(classes * rows, width)) @ mixings[number]
        one, scatter = summarise(
            means[number].repeat(rows, axis=0) + noise, np.repeat(np.arange(classes), rows), classes, corner
        )
        totals, centroids[f"task{number}"] = totals.add(one, scatter), one
    validation = [
        (some.repeat(8, axis=0) + generator.normal(size=(classes * 8, width)) @ mixings[number]).astype(np.float32)
        for number, some in enumerate(means)
    ]
    return CentroidRouter(totals, centroids), validation


def best_loss(distances, own):
    """Over a fine grid of temperatures: (N, K) squared distances, and which of the classes are of the true task."""
    best = np.inf
    for temperature in np.geomspace(1, 1000, 200):
        weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * temperature))
        share = np.maximum((weights * own).sum(axis=1) / weights.sum(axis=1), 1e-9)
        best = min(best, -np.log(share).mean())
    return best


def loss_of_shrinkage(router, share, features, true):
    """The best loss with every class mean looked at, written out."""
    covariance = router.covariance.matrix
    shrunken = (1 - share) * covariance + share * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    gaps = features[:, None] - router.class_means
    distances = np.einsum("nkd,de,nke->nk", gaps, np.linalg.inv(shrunken), gaps, optimize=True)
    return best_loss(distances, router.task_of_class == true[:, None])


@pytest.mark.parametrize(("rows", "narrowest", "best"), [(2, 0.5, 0.3), (5, 0.1, 0.1), (40, 0.5, 0.03)])
def test_no_other_shrinkage_makes_the_true_tasks_likelier(rows, narrowest, best):
    router, validation = noisy_portfolio(tasks=4, classes=3, width=20, rows=rows, narrowest=narrowest)
    features, true = np.concatenate(validation), np.repeat(np.arange(4), 24)
    got = sharpened(router, validation).settings
    tried = sorted({router.covariance.oas, *SHRINKAGES})
    losses = {share: loss_of_shrinkage(router, share, features, true) for share in tried}
    least = min(losses.values())
    assert losses[got.shrinkage] == losses[best] == least
    assert sorted(losses.values())[1] > least + 0.003  # clearly so
    assert (got.own_share, got.threshold) == (0.0, -math.inf)


def test_of_shares_that_make_no_difference_the_smallest_are_taken():
    router, _ = noisy_portfolio(tasks=2, classes=2, width=4, rows=5, narrowest=2, corner=2)
    validation = [means.repeat(30, axis=0) for means in np.split(100 * router.class_means, 2)]  # beyond any doubt
    got = sharpened(router, validation).settings
    assert (got.shrinkage, got.own_share) == (min(router.covariance.oas, *SHRINKAGES), 0.0)


@pytest.mark.parametrize(("stretch", "rows"), [(1.0, 3), (3.0, 40)])
def test_no_other_own_share_makes_the_true_tasks_likelier(stretch, rows):
    router, validation = noisy_portfolio(tasks=4, classes=2, width=6, rows=rows, corner=3, stretch=stretch)
    features, true = np.concatenate(validation), np.repeat(np.arange(4), 16)
    got = sharpened(router, validation).settings
    losses = {}
    for share in OWN_SHARES:
        other = router.calibrated(Calibration(threshold=0, temperature=1, shrinkage=got.shrinkage, own_share=share))
        near = other.class_distances(other.whitened(features))
        losses[share] = best_loss(near.squared_distances, other.task_of_class == true[:, None])
    assert losses[got.own_share] == min(losses.values())
    assert (got.own_share > 0) == (stretch > 1)
    assert sorted(losses.values())[1] > min(losses.values()) + 0.001  # clearly so


def test_little_data_is_shrunk_more_than_much():
    few, many = (calibrate(*noisy_portfolio(4, 3, 20, rows), 0.95).shrinkage for rows in (2, 200))
    assert few > many


def test_the_temperature_that_comes_with_a_share_is_the_one_for_it():
    router, validation = noisy_portfolio(tasks=4, classes=3, width=10, rows=4)
    chosen = calibrate(router, validation, 0.95)
    true = np.repeat(np.arange(4), 24)
    expected = choose_temperature(router.calibrated(chosen), np.concatenate(validation), true)
    assert chosen.temperature == pytest.approx(expected, rel=0.01)
    assert expected > 1.05


def test_rows_with_no_class_of_their_task_near_have_no_say_in_the_temperature():
    router, validation = noisy_portfolio(tasks=60, classes=2, width=6, rows=30, narrowest=1)
    tasks = {f"task{number}": centroids for number, centroids in enumerate(centroids_of(router))}
    near_only = CentroidRouter(totals_of(router), tasks, settings=router.settings, exhaustive_up_to=NEAREST)
    features, true = np.concatenate(validation), np.repeat(np.arange(60), 16)
    true[::3] = np.random.default_rng(0).permutation(true[::3])  # a third is wrong, and mostly far away
    near = near_only.class_distances(near_only.whitened(features)).columns
    has_near = (near_only.task_of_class[near] == true[:, None]).any(axis=1)
    assert 0.7 < has_near.mean() < 0.95
    without_them = choose_temperature(near_only, features[has_near], true[has_near])
    assert choose_temperature(near_only, features, true) == pytest.approx(without_them, rel=0.01)


def centroids_of(router):
    """Of two classes a task."""
    return [Centroids(counts=np.full(2, 30), means=means) for means in np.split(router.class_means, 60)]


def totals_of(router):
    rows = 30 * len(router.class_means)
    return Totals(
        rows=rows,
        classes=len(router.class_means),
        feature_sum=router.covariance.origin * rows,
        within=router.covariance.matrix * (rows - len(router.class_means)),
    )


def test_with_few_validation_rows_or_one_task_the_share_stays_the_one_that_needs_none():
    router, validation = noisy_portfolio(tasks=4, classes=3, width=20, rows=2)
    assert calibrate(router, validation, 0.95).shrinkage != router.covariance.oas
    fewer = [rows[: (FEWEST_ROWS - 1) // 4] for rows in validation]
    assert calibrate(router, fewer, 0.95).shrinkage == router.covariance.oas
    alone, rows = noisy_portfolio(tasks=1, classes=3, width=20, rows=2)
    got = calibrate(alone, [np.concatenate(rows * 3)], 0.95)
    assert (got.shrinkage, got.temperature) == (alone.covariance.oas, 1.0)


def test_without_any_validation_row_nothing_is_ever_abstained_on():
    router, validation = noisy_portfolio(tasks=2, classes=3, width=5, rows=4)
    got = calibrate(router, [rows[:0] for rows in validation], 0.95)
    assert (got.threshold, got.temperature, got.shrinkage) == (-math.inf, 1.0, router.covariance.oas)


def test_the_threshold_keeps_the_wanted_share_whatever_settings_the_router_had():
    router, validation = noisy_portfolio(tasks=3, classes=2, width=5, rows=10)
    settings = calibrate(router, validation, 0.9)
    choices = router.calibrated(settings).choose(np.concatenate(validation))
    assert (~choices.abstain).sum() == math.ceil(0.9 * 48)
    assert calibrate(router.calibrated(settings), validation, 0.9) == settings


def test_rows_are_looked_at_evenly_and_fewer_where_classes_are_very_many():
    validation = [np.full((2000, 1), number, dtype=np.float32) for number in range(4)]
    assert [len(rows) for rows in rows_to_look_at(validation, n_classes=10)] == [MOST_ROWS // 4] * 4
    assert [len(rows) for rows in rows_to_look_at(validation, n_classes=40_000)] == [25] * 4
    assert [rows[0, 0] for rows in rows_to_look_at(validation, n_classes=10**9)] == [0, 1, 2, 3]


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
    assert sum(len(rows) for rows in sample_evenly([2000] * 7, MOST_ROWS)) == MOST_ROWS // 7 * 7

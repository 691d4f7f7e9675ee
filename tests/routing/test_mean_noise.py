"""Distances less the noise of class means: against plain numpy, and in worlds where some classes have few rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routing.kept_space import fit_space
from routing.mean_noise import NO_NOISE, MeanNoise, level
from routing.neighbours import ClassIndex
from routing.router import Calibration, CentroidRouter, covariance_of
from routing.router_files import read_space, write_space
from routing.scope import SHRINKAGE, fit_scope
from routing.statistics import Totals, summarise
from routing.whitening import fit_covariance

WIDTH, FIRST = 12, 8
SHARE = 0.2
SETTINGS = Calibration(threshold=-1.0, temperature=2.0, shrinkage=SHARE)
MIXING = np.random.default_rng(7).normal(size=(WIDTH, WIDTH))
QUERIES = np.random.default_rng(8).normal(scale=4, size=(80, WIDTH)).astype(np.float32)
COUNTS = {"few": (1, 2, 3), "some": (5, 30), "many": (200, 40, 2)}  # rows of each class
EQUAL = {name: (6,) * len(counts) for name, counts in COUNTS.items()}


def statistics_of(counts_by_task, width=WIDTH, mixing=MIXING):
    """Per task its centroids and scatter: classes alike in shape, about middles of their own."""
    found = {}
    for seed, (name, counts) in enumerate(counts_by_task.items()):
        chance = np.random.default_rng(seed)
        middles = chance.normal(scale=3, size=(len(counts), width))
        rows = np.repeat(middles, counts, axis=0) + chance.normal(size=(sum(counts), width)) @ mixing
        found[name] = summarise(rows, np.repeat(np.arange(len(counts)), counts), len(counts), corner=2)
    return found


def totals_of(statistics):
    width = next(iter(statistics.values()))[0].width
    totals = Totals.zero(width)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    return totals


def router_of(statistics, **wishes):
    tasks = {name: centroids for name, (centroids, _) in statistics.items()}
    return CentroidRouter(totals_of(statistics), tasks, settings=SETTINGS, **wishes)


def kept_space_of(statistics, flat=1000):
    tasks = {name: centroids for name, (centroids, _) in statistics.items()}
    covariance, marks = covariance_of(totals_of(statistics)), {name: name for name in tasks}
    return fit_space(covariance, tasks, marks, shrinkage=SHARE, widths=(WIDTH, FIRST), flat=flat)


def plain_and_noise(statistics, queries, share=SHARE):
    """(N, K) squared distances, and what is expected of each mean's noise (K,), from the sums, the long way round."""
    width = queries.shape[1]
    totals = totals_of(statistics)
    covariance = totals.within / (totals.rows - totals.classes)
    shrunk = (1 - share) * covariance + share * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    inverse = np.linalg.inv(shrunk[:width, :width])
    means = np.concatenate([centroids.means[:, :width] for centroids, _ in statistics.values()])
    counts = np.concatenate([centroids.counts for centroids, _ in statistics.values()])
    plain = np.array([[(row - mean) @ inverse @ (row - mean) for mean in means] for row in queries])
    return plain, np.trace(inverse @ covariance[:width, :width]) / counts


def in_order(near):
    """(N, K), by the number of the class."""
    return np.take_along_axis(near.squared_distances, np.argsort(near.columns, axis=1), axis=1)


@pytest.mark.parametrize("width", [WIDTH, FIRST])
@pytest.mark.parametrize("form", ["all", "faiss", "kept", "kept in cells", "read from disk"])
def test_distances_are_less_what_is_expected_of_the_noise_of_their_means(form, width, tmp_path):
    statistics = statistics_of(COUNTS)
    if form in ("all", "faiss"):
        router = router_of(statistics, exhaustive_up_to=3 if form == "faiss" else 100)
    else:
        space = kept_space_of(statistics, flat=0 if form == "kept in cells" else 1000)
        if form == "read from disk":
            write_space(tmp_path / "key", space)
            read = read_space(tmp_path / "key")
            assert read.fit_digest == space.fit_digest
            centroids = {name: one for name, (one, _) in statistics.items()}
            space = read.changed({name: name for name in statistics}, centroids)
        router = router_of(statistics, space=space)
    queries = QUERIES[:, :width]
    looking = router if width == WIDTH else router.leading(width)
    found = in_order(looking.class_distances(looking.whitened(queries)))
    plain, noise = plain_and_noise(statistics, queries)
    np.testing.assert_allclose(found, plain - noise + noise.min(), rtol=1e-4, atol=1e-4)
    assert noise.max() > 5


def test_a_mean_that_comes_to_a_kept_fit_has_the_noise_that_the_fit_knows():
    """Also if it is of more rows than any had then."""
    statistics = statistics_of(COUNTS)
    then = {name: statistics[name] for name in ("few", "some")}
    centroids = {name: one for name, (one, _) in statistics.items()}
    now = kept_space_of(then).changed({name: name for name in statistics}, centroids)
    near = now.index.look(now.whitening.apply(QUERIES), np.arange(8))
    plain = ((now.whitening.apply(QUERIES)[:, None] - now.whitening.apply(now.means)) ** 2).sum(axis=2)
    counts = np.array([count for counts in COUNTS.values() for count in counts])
    expected = plain + now.noise.variance * (1 / 30 - 1 / counts)
    np.testing.assert_allclose(in_order(near), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.8, 0.96, 1.0])
@pytest.mark.parametrize("width", [WIDTH, FIRST])
def test_the_noise_is_the_trace_of_the_whitened_covariance(share, width):
    totals = totals_of(statistics_of(COUNTS))
    covariance = covariance_of(totals)
    whitening = covariance.whitening(share).leading(width)
    found = MeanNoise.of(covariance.leading(width), whitening, share, np.array([4, 9]))
    expected = np.trace(whitening.matrix @ covariance.matrix[:width, :width] @ whitening.matrix.T)
    assert found.variance == pytest.approx(expected, rel=1e-9)
    assert found.largest == 9


def test_lifted_means_are_farther_by_the_correction_and_the_ground():
    noise, counts = MeanNoise(variance=30.0, largest=8), np.array([1, 2, 8, 50])
    means = np.random.default_rng(1).normal(size=(4, 3))
    lifted, queries = noise.lifted(means, counts), level(QUERIES[:, :3].astype(np.float64))
    farther = ((queries[:, None] - lifted) ** 2).sum(axis=2) - ((QUERIES[:, None, :3] - means) ** 2).sum(axis=2)
    np.testing.assert_allclose(farther - noise.ground, np.tile(noise.corrections(counts), (80, 1)), atol=1e-5)


def test_where_all_classes_have_as_many_rows_nothing_is_taken_off():
    """Bit for bit where all are looked at; and no choice differs where the fit is kept."""
    statistics = statistics_of(EQUAL)
    router = router_of(statistics)
    points = router.whitened(QUERIES)
    plain = ClassIndex(router.whitened(router.class_means)).squared_distances(points, np.arange(8))
    np.testing.assert_array_equal(router.class_distances(points).squared_distances, plain)
    ours, theirs = router.choose(QUERIES), router_of(statistics, space=kept_space_of(statistics)).choose(QUERIES)
    for field in ("tasks", "nearest_tasks", "nearest_classes", "abstain"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-4)


def test_the_in_scope_score_is_as_it_was_so_that_stored_thresholds_hold():
    statistics = statistics_of(COUNTS)
    router = router_of(statistics)
    whitening = router.covariance.whitening(SHRINKAGE)
    counts = np.concatenate([centroids.counts for centroids, _ in statistics.values()])
    plain = fit_scope(whitening, whitening.apply(router.class_means), counts, 100).look(QUERIES, np.arange(8))
    np.testing.assert_allclose(router.in_scope_scores(QUERIES), plain.scores, rtol=1e-9)


def test_where_no_row_lies_beside_its_mean_nothing_is_known_of_the_noise():
    """Rows that are all the same, once and a hundred times: their spread is 0, and not that of the identity."""
    rows = np.repeat(np.eye(3), (1, 100, 1), axis=0)
    centroids, scatter = summarise(rows, np.repeat(np.arange(3), (1, 100, 1)), 3)
    router = CentroidRouter(Totals.zero(3).add(centroids, scatter), {"one": centroids})
    assert router.noise.variance == 0.0
    assert router.choose(np.eye(3)).nearest_classes.tolist() == [0, 1, 2]
    alone = fit_covariance(np.zeros(3), np.zeros((3, 3)), 0)
    assert not alone.is_known and not alone.leading(2).is_known


def test_tasks_in_another_order_or_after_one_that_left_are_routed_the_same():
    statistics = statistics_of(COUNTS)
    one = router_of(statistics)
    turned = {name: statistics[name] for name in ("many", "few", "some")}
    guest = statistics_of({"guest": (500, 1, 7)})["guest"]
    totals = totals_of({**turned, "guest": guest}).subtract(*guest)
    other = CentroidRouter(totals, {name: centroids for name, (centroids, _) in turned.items()}, settings=SETTINGS)
    assert other.noise.largest == one.noise.largest == 200
    assert other.noise.variance == pytest.approx(one.noise.variance)
    ours, theirs = one.choose(QUERIES), other.choose(QUERIES)
    assert [one.tasks[number] for number in ours.tasks] == [other.tasks[number] for number in theirs.tasks]
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-9)


def test_another_noise_is_another_fit():
    fit = kept_space_of(statistics_of(COUNTS)).fit
    other = replace(fit, noises={**fit.noises, FIRST: replace(fit.noises[FIRST], variance=1.0)})
    assert fit.digest != other.digest


def test_without_noise_nothing_is_corrected():
    assert NO_NOISE.corrections(np.array([1, 5])).tolist() == [0.0, 0.0]
    assert NO_NOISE.ground == 0.0


def test_classes_of_few_rows_win_back_their_inputs():
    """Round classes in 64 dimensions: half of the tasks with 4 rows a class, half with 200."""
    width, tasks, classes = 64, 6, 5
    chance = np.random.default_rng(5)
    middles = chance.normal(scale=0.6, size=(tasks, classes, width))
    statistics, queries, truth = {}, [], []
    for number in range(tasks):
        count = 4 if number % 2 else 200
        rows = np.repeat(middles[number], count, axis=0) + chance.normal(size=(classes * count, width))
        statistics[f"task{number}"] = summarise(rows, np.repeat(np.arange(classes), count), classes)
        queries.append(np.repeat(middles[number], 40, axis=0) + chance.normal(size=(classes * 40, width)))
        truth += [number] * (classes * 40)
    rows, true = np.concatenate(queries), np.array(truth)
    has_few = true % 2 == 1
    router = router_of(statistics)
    plain = ClassIndex(router.whitened(router.class_means)).look(router.whitened(rows), np.arange(tasks * classes))
    uncorrected = router.task_of_class[plain.squared_distances.argmin(axis=1)] == true
    corrected = router.choose(rows).nearest_tasks == true
    assert corrected[has_few].mean() > uncorrected[has_few].mean() + 0.15
    assert corrected.mean() > uncorrected.mean() + 0.05
    assert abs(corrected[has_few].mean() - corrected[~has_few].mean()) < 0.1  # .66 and .99 before

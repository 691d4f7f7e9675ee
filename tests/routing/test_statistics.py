"""What is kept of a task: checked against a plain loop, and against forgetting a task again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from routing.statistics import (
    Centroids,
    Totals,
    centroids_from_bytes,
    centroids_to_bytes,
    features_from_bytes,
    features_to_bytes,
    scatter_from_bytes,
    scatter_to_bytes,
    summarise,
    totals_from_bytes,
    totals_to_bytes,
)


def random_task(seed, rows=12, width=4, n_classes=3):
    generator = np.random.default_rng(seed)
    features = (5 + generator.normal(size=(rows, width))).astype(np.float32)
    classes = np.concatenate([np.arange(n_classes), generator.integers(n_classes, size=rows - n_classes)])
    return features, classes


def totals_of(tasks, width=4):
    totals = Totals.zero(width)
    for task in tasks:
        totals = totals.add(*task)
    return totals


def assert_same_totals(left, right, tolerance=1e-9):
    assert (left.rows, left.classes) == (right.rows, right.classes)
    for name in ("feature_sum", "within"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=tolerance, atol=tolerance)


wild_tasks = st.integers(1, 4).flatmap(
    lambda n_classes: st.integers(n_classes, 9).flatmap(
        lambda rows: st.tuples(
            hnp.arrays(np.float32, (rows, 3), elements=st.floats(-100, 100, width=32)),
            st.lists(st.integers(0, n_classes - 1), min_size=rows - n_classes, max_size=rows - n_classes).map(
                lambda more: np.array([*range(n_classes), *more])
            ),
            st.just(n_classes),
        )
    )
)


@settings(max_examples=40, deadline=None)
@given(wild_tasks)
def test_counts_means_and_scatter_are_those_of_a_loop_over_rows(task):
    features, classes, n_classes = task
    centroids, scatter = summarise(features, classes, n_classes)
    plain = np.zeros((3, 3))
    for number in range(n_classes):
        members = [row.astype(np.float64) for row, of in zip(features, classes, strict=True) if of == number]
        mean = sum(members) / len(members)
        assert centroids.counts[number] == len(members)
        np.testing.assert_allclose(centroids.means[number], mean, rtol=1e-9, atol=1e-9)
        for row in members:
            plain += np.outer(row - mean, row - mean)
    np.testing.assert_allclose(scatter, plain, rtol=2**-23, atol=1e-7)
    assert (scatter == scatter.T).all()
    assert scatter.dtype == np.float64 and (scatter == scatter.astype(np.float32)).all()


def test_the_totals_hold_the_sums_over_all_rows():
    tasks = [random_task(seed) for seed in range(3)]
    totals = totals_of([summarise(features, classes, 3) for features, classes in tasks])
    rows = np.concatenate([features for features, _ in tasks]).astype(np.float64)
    assert (totals.rows, totals.classes) == (36, 9)
    np.testing.assert_allclose(totals.feature_sum, rows.sum(axis=0), rtol=1e-12)
    about_class_means = sum(
        (len(members) - 1) * np.cov(members.T)
        for features, classes in tasks
        for number in range(3)
        if len(members := features[classes == number].astype(np.float64)) > 1
    )
    np.testing.assert_allclose(totals.within, about_class_means, rtol=1e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(wild_tasks, min_size=1, max_size=5), st.randoms())
def test_the_order_of_tasks_does_not_matter(tasks, random):
    statistics = [summarise(*task) for task in tasks]
    shuffled = random.sample(statistics, len(statistics))
    assert_same_totals(totals_of(statistics, 3), totals_of(shuffled, 3), tolerance=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.lists(wild_tasks, min_size=1, max_size=5), st.data())
def test_taking_a_task_out_leaves_what_the_others_alone_would_have_given(tasks, data):
    statistics = [summarise(*task) for task in tasks]
    gone = data.draw(st.integers(0, len(tasks) - 1))
    others = statistics[:gone] + statistics[gone + 1 :]
    left = totals_of(statistics, 3).subtract(*statistics[gone])
    assert_same_totals(left, totals_of(others, 3), tolerance=1e-7)


def test_taking_a_task_out_is_exact_to_a_billionth_at_the_scale_of_embeddings():
    statistics = [summarise(*random_task(seed, rows=200), 3) for seed in range(20)]
    left = totals_of(statistics).subtract(*statistics[4])
    assert_same_totals(left, totals_of(statistics[:4] + statistics[5:]))


def test_the_scatter_of_a_task_read_back_from_its_bytes_is_taken_out_to_a_trillionth():
    statistics = [summarise(*random_task(seed, rows=200), 3) for seed in range(20)]
    centroids, scatter = statistics[4]
    again = scatter_from_bytes(scatter_to_bytes(scatter))
    left = totals_from_bytes(totals_to_bytes(totals_of(statistics))).subtract(centroids, again)
    others = totals_of(statistics[:4] + statistics[5:])
    np.testing.assert_allclose(left.within, others.within, rtol=1e-12, atol=1e-12)


def test_taking_the_last_task_out_leaves_exact_zeros():
    first, second = (summarise(*random_task(seed), 3) for seed in (0, 1))
    left = totals_of([first, second]).subtract(*first).subtract(*second)  # rounding alone would leave some dust
    assert (left.rows, left.classes) == (0, 0)
    assert not left.feature_sum.any() and not left.within.any()


def test_adding_leaves_the_earlier_totals_unchanged():
    before = totals_of([summarise(*random_task(0), 3)])
    kept = before.within.copy()
    before.add(*summarise(*random_task(1), 3))
    np.testing.assert_array_equal(before.within, kept)


def test_a_task_larger_than_the_totals_is_not_taken_out():
    small, large = summarise(*random_task(0), 3), summarise(*random_task(1, rows=50), 3)
    with pytest.raises(ValueError, match="50 rows and 3 classes where the totals hold 12 and 3"):
        totals_of([small]).subtract(*large)


def test_a_task_of_another_width_is_refused():
    with pytest.raises(ValueError, match="width 4, got means of width 5"):
        Totals.zero(4).add(*summarise(*random_task(0, width=5), 3))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_refused_by_its_row(poison):
    features, classes = random_task(0)
    features[7, 2] = poison
    with pytest.raises(ValueError, match="row 7"):
        summarise(features, classes, 3)


def test_features_of_the_wrong_shape_or_kind_are_refused():
    features, classes = random_task(0)
    with pytest.raises(ValueError, match=r"expected \(N, d\) float32 features, got \(48,\) float32"):
        summarise(features.ravel(), classes, 3)
    with pytest.raises(ValueError, match="int64"):
        summarise(features.astype(np.int64), classes, 3)
    with pytest.raises(ValueError, match="one class for each of 12 rows"):
        summarise(features, classes[:-1], 3)
    with pytest.raises(ValueError, match="classes from 0 to 1, got 0 to 2"):
        summarise(features, classes, 2)


def test_a_class_without_examples_is_refused_by_its_number():
    features, classes = random_task(0)
    with pytest.raises(ValueError, match="class 3 has no example"):
        summarise(features, classes, 4)


def test_centroids_refuse_means_that_do_not_fit_their_counts():
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3, 4\)"):
        Centroids(counts=np.array([1, 1]), means=np.zeros((3, 4)))
    with pytest.raises(ValueError, match="NaN"):
        Centroids(counts=np.array([1]), means=np.full((1, 4), np.nan))


def test_everything_comes_back_from_its_bytes_bit_for_bit():
    centroids, scatter = summarise(*random_task(0), 3)
    totals = totals_of([(centroids, scatter)])
    again = centroids_from_bytes(centroids_to_bytes(centroids))
    np.testing.assert_array_equal(again.counts, centroids.counts)
    np.testing.assert_array_equal(again.means, centroids.means)
    assert again.counts.dtype == np.int64
    np.testing.assert_array_equal(scatter_from_bytes(scatter_to_bytes(scatter)), scatter)
    assert_same_totals(totals_from_bytes(totals_to_bytes(totals)), totals, tolerance=0)


def test_equal_statistics_give_equal_bytes():
    first, second = (totals_of([summarise(*random_task(0), 3)]) for _ in range(2))
    assert totals_to_bytes(first) == totals_to_bytes(second)


def test_a_scatter_takes_about_a_quarter_of_the_bytes_of_its_matrix():
    """Half, as it is symmetric, and half of that, as it is rounded to float32."""
    _, scatter = summarise(*random_task(0, rows=300, width=100), 3)
    assert 0.25 < len(scatter_to_bytes(scatter)) / scatter.nbytes < 0.26


def test_a_scatter_that_float32_cannot_hold_is_kept_in_full():
    scatter = np.full((3, 3), 1 / 3)
    np.testing.assert_array_equal(scatter_from_bytes(scatter_to_bytes(scatter)), scatter)


def test_centroids_keep_the_corner_of_the_scatter_when_asked_for_it():
    features, classes = random_task(0)
    centroids, scatter = summarise(features, classes, 3, corner=2)
    np.testing.assert_array_equal(centroids.corner, scatter[:2, :2])
    assert summarise(features, classes, 3)[0].corner is None
    again = centroids_from_bytes(centroids_to_bytes(centroids))
    np.testing.assert_array_equal(again.corner, centroids.corner)
    assert again.corner.dtype == np.float64


def test_features_come_back_from_their_bytes_as_float32():
    features = random_task(0)[0].astype(np.float64) / 3
    again = features_from_bytes(features_to_bytes(features))
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, features.astype(np.float32))


UPPER = np.triu_indices(3)
MATRIX = np.array([[4, 1 / 3, 2], [1 / 3, 5, 1 / 7], [2, 1 / 7, 6]])


def test_a_scatter_written_in_float64_is_still_read():
    np.testing.assert_array_equal(scatter_from_bytes(save({"scatter": MATRIX[UPPER]})), MATRIX)


def test_totals_written_with_a_second_moment_are_still_read():
    numbers = {"rows_and_classes": np.array([7, 2]), "feature_sum": np.arange(3.0), "within": MATRIX[UPPER]}
    again = totals_from_bytes(save({**numbers, "second_moment": 2 * MATRIX[UPPER]}))
    expected = Totals(rows=7, classes=2, feature_sum=np.arange(3.0), within=MATRIX)
    assert_same_totals(again, expected, tolerance=0)


def test_centroids_written_without_a_corner_are_still_read():
    again = centroids_from_bytes(save({"counts": np.array([2, 1]), "means": MATRIX[:2]}))
    np.testing.assert_array_equal(again.counts, [2, 1])
    np.testing.assert_array_equal(again.means, MATRIX[:2])
    assert again.corner is None


@pytest.mark.parametrize("triangle", [np.zeros(5), np.zeros((3, 3))])
def test_a_triangle_that_is_none_is_refused(triangle):
    with pytest.raises(ValueError, match="numbers of an upper triangle"):
        scatter_from_bytes(save({"scatter": triangle}))


@pytest.mark.parametrize("read", [centroids_from_bytes, scatter_from_bytes, totals_from_bytes, features_from_bytes])
def test_bytes_of_something_else_are_refused(read):
    with pytest.raises(ValueError, match="as safetensors"):
        read(b"not safetensors at all")
    others = centroids_to_bytes(summarise(*random_task(0), 3)[0])
    if read is centroids_from_bytes:
        others = scatter_to_bytes(np.eye(3))
    with pytest.raises(ValueError, match="expected the"):
        read(others)

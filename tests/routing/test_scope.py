"""The in-scope score: computed the long way round from all rows, in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from routing.neighbours import FEW
from routing.router import Calibration, CentroidRouter
from routing.scope import BACKGROUND_FACTOR, SHRINKAGE
from routing.statistics import Totals, summarise


def random_tasks(classes_of_task, width, seed=0, rows=6):
    """(name, features, classes) of tasks with correlated features and class means far apart."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(width, width))
    for number, classes in enumerate(classes_of_task):
        labels = np.repeat(np.arange(classes), generator.integers(1, rows, size=classes))
        means = generator.normal(scale=3, size=(classes, width))
        yield f"task{number}", means[labels] + generator.normal(size=(len(labels), width)) @ mixing + 1, labels


def router_of(tasks, few=FEW):
    statistics = {name: summarise(features, labels, labels.max() + 1) for name, features, labels in tasks}
    totals = Totals.zero(next(iter(statistics.values()))[0].width)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    return CentroidRouter(
        totals, {name: centroids for name, (centroids, _) in statistics.items()}, exhaustive_up_to=few
    )


def long_way_round(tasks, queries, allowed=None, leading=None):
    every_row = np.concatenate([features for _, features, _ in tasks])
    middle, width = every_row.mean(axis=0), every_row.shape[1]
    within, between, means = np.zeros((width, width)), np.zeros((width, width)), []
    for name, features, labels in tasks:
        for number in np.unique(labels):
            members = features[labels == number]
            mean = members.mean(axis=0)
            within += (members - mean).T @ (members - mean)
            between += len(members) * np.outer(mean - middle, mean - middle) / len(every_row)
            means.append((name, mean))
    within /= len(every_row) - len(means)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / width * np.eye(width)
    seen = slice(leading)
    background = np.linalg.inv(BACKGROUND_FACTOR * (within + between)[seen, seen])
    inverse = np.linalg.inv(within[seen, seen])
    queries, middle, means = queries[:, seen], middle[seen], [(name, mean[seen]) for name, mean in means]
    return [
        (x - middle) @ background @ (x - middle)
        - min((x - mean) @ inverse @ (x - mean) for name, mean in means if allowed is None or name in allowed)
        for x in queries
    ]


@pytest.mark.parametrize(("classes_of_task", "width"), [([2, 3], 9), ([4, 5], 9), ([7, 1, 6], 9)])
def test_the_score_is_the_background_distance_less_the_nearest_class(classes_of_task, width):
    """With fewer class means than features, as many, and more: the background is then kept in other forms."""
    tasks = list(random_tasks([*classes_of_task], width))
    queries = np.random.default_rng(1).normal(scale=4, size=(20, width))
    np.testing.assert_allclose(
        router_of(tasks).in_scope_scores(queries), long_way_round(tasks, queries), rtol=1e-6, atol=1e-6
    )


def test_only_classes_of_allowed_tasks_count_as_near():
    tasks = list(random_tasks([2, 3, 2], 4))
    queries = np.random.default_rng(2).normal(scale=4, size=(10, 4))
    decisions = router_of(tasks).route(queries, allowed=["task1"])
    np.testing.assert_allclose(
        [decision.in_scope for decision in decisions],
        long_way_round(tasks, queries, allowed=["task1"]),
        rtol=1e-6,
        atol=1e-6,
    )


def test_among_many_classes_the_nearest_is_found_by_the_index():
    tasks = list(random_tasks([5] * 20, 6))
    queries = np.random.default_rng(3).normal(scale=4, size=(30, 6))
    np.testing.assert_allclose(
        router_of(tasks, few=50).in_scope_scores(queries), long_way_round(tasks, queries), rtol=1e-4, atol=1e-3
    )


def test_the_share_chosen_for_routing_changes_no_score():
    tasks = list(random_tasks([3, 2], 5))
    router = router_of(tasks)
    queries = np.random.default_rng(4).normal(size=(5, 5))
    other = router.calibrated(Calibration(threshold=0.0, temperature=2.0, shrinkage=0.9, own_share=0.2))
    np.testing.assert_array_equal(other.in_scope_scores(queries), router.in_scope_scores(queries))


@pytest.mark.parametrize("classes_of_task", [[2, 3], [7, 1, 6]])
def test_the_leading_features_alone_are_judged_under_the_corner_of_the_same_covariances(classes_of_task):
    """With fewer class means than the leading features, and with more."""
    tasks = list(random_tasks(classes_of_task, 12))
    queries = np.random.default_rng(6).normal(scale=4, size=(20, 12))
    expected = long_way_round(tasks, queries, leading=7)
    np.testing.assert_allclose(
        router_of(tasks).leading(7).in_scope_scores(queries[:, :7]), expected, rtol=1e-6, atol=1e-6
    )


def test_few_rows_of_many_features_still_tell_what_is_out_of_scope():
    generator = np.random.default_rng(5)
    width, spread = 120, np.linspace(2, 0.05, 120)  # a few strong directions, as embeddings have
    means = generator.normal(size=(8, width)) * spread
    known = means.repeat(5, axis=0) + generator.normal(size=(40, width)) * 0.5 * spread
    router = router_of([("a", known[:20], np.arange(20) // 5), ("b", known[20:], np.arange(20) // 5)])
    inside = means.repeat(10, axis=0) + generator.normal(size=(80, width)) * 0.5 * spread
    outside = (generator.normal(size=(40, width)) + generator.normal(size=(40, width)) * 0.5) * spread
    good, bad = router.in_scope_scores(inside), router.in_scope_scores(outside)
    assert (good[:, None] > bad).mean() > 0.95

"""The floor: what the frozen base says without training, against scikit-learn on all rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Contestant, Settings
from portfolio.compare.prepare import world_of
from portfolio.compare.table import METHODS
from portfolio.compare.world import World
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.tasks.sequences import Sequence
from routing.distance import squared_distances
from routing.statistics import summarise
from routing.whitening import fit_covariance


@pytest.fixture(scope="module")
def world(tiny_base: Base, toy_sequence: Sequence) -> Iterator[World]:
    host = Host(tiny_base, trunk=2)
    yield world_of(host, 32, toy_sequence, Budget(per_class=None, epochs=1, trials=1), seed=0)
    host.detach()


def grown(name: str, world: World, directory: Path, tasks: int) -> Contestant:
    contestant = METHODS[name].begin(world, Settings(rate=0.0, epochs=1), directory)
    for number in range(tasks):
        contestant.learn(number)
    return contestant


def rows_of(world: World, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    train = [task.train for task in world.tasks[:tasks]]
    return (
        np.concatenate([one.prepared.features.numpy() for one in train]).astype(np.float64),
        np.concatenate([one.labels.numpy() for one in train]),
    )


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_frozen_means_answers_as_nearest_centroid_does(world: World, tasks: int, tmp_path: Path) -> None:
    theirs = NearestCentroid().fit(*rows_of(world, tasks))
    ours = grown("frozen-means", world, tmp_path, tasks)
    for number, task in enumerate(world.tasks):
        features = task.test.prepared.features.numpy().astype(np.float64)
        assert ours.answer(number, "test").free.tolist() == theirs.predict(features).tolist()


class Known:
    """A covariance that scikit-learn is told: shrunk by this share, whatever rows it is shown."""

    def __init__(self, covariance: np.ndarray, share: float) -> None:
        mean_variance = np.trace(covariance) / len(covariance)
        self.covariance_ = (1 - share) * covariance + share * mean_variance * np.eye(len(covariance))

    def fit(self, rows: np.ndarray) -> Known:
        return self


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_frozen_whitened_answers_as_discriminant_analysis_does(world: World, tasks: int, tmp_path: Path) -> None:
    """With the same share of shrinkage and equal priors."""
    features, labels = rows_of(world, tasks)
    classes = np.unique(labels)
    _, scatter = summarise(features, np.searchsorted(classes, labels), len(classes))
    degrees = len(labels) - len(classes)
    share = fit_covariance(features.mean(axis=0), scatter, degrees).oas
    theirs = LinearDiscriminantAnalysis(
        solver="lsqr",
        priors=np.full(len(classes), 1 / len(classes)),
        covariance_estimator=Known(scatter / degrees, share),
    ).fit(features, labels)
    ours = grown("frozen-whitened", world, tmp_path, tasks)
    for number, task in enumerate(world.tasks):
        rows = task.test.prepared.features.numpy().astype(np.float64)
        assert ours.answer(number, "test").free.tolist() == theirs.predict(rows).tolist()


@pytest.mark.parametrize("name", ["frozen-means", "frozen-whitened"])
def test_the_order_of_the_tasks_changes_no_answer_of_the_floor(name: str, world: World, tmp_path: Path) -> None:
    turned = world.in_order([task.name for task in reversed(world.tasks)])
    one, other = grown(name, world, tmp_path, 3), grown(name, turned, tmp_path, 3)
    for number in range(3):
        expected, got = one.answer(number, "test"), other.answer(2 - number, "test")
        assert expected.free.tolist() == got.free.tolist() and expected.given.tolist() == got.given.tolist()


@pytest.mark.parametrize("name", ["frozen-means", "frozen-whitened"])
def test_a_task_that_is_not_learned_is_guessed_as_its_first_class(name: str, world: World, tmp_path: Path) -> None:
    said = grown(name, world, tmp_path, 1).answer(2, "test")
    assert set(said.given) == {world.tasks[2].classes[0]}
    assert set(said.free) <= set(world.tasks[0].classes)


def test_distances_are_those_of_pythagoras() -> None:
    points, means = np.random.default_rng(0).normal(size=(5, 3)), np.random.default_rng(1).normal(size=(4, 3))
    expected = [[sum((a - b) ** 2 for a, b in zip(x, m, strict=True)) for m in means] for x in points]
    np.testing.assert_allclose(squared_distances(points, means), expected, rtol=1e-12)

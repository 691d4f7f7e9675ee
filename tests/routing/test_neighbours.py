"""Distances to class means: faiss's nearest against a loop over all."""

from __future__ import annotations

import numpy as np
import pytest

from routing.neighbours import NEAREST, ClassIndex


@pytest.fixture
def means():
    return np.random.default_rng(0).normal(size=(200, 8))


@pytest.fixture
def queries():
    return np.random.default_rng(1).normal(size=(30, 8))


def plain_distances(queries, means):
    return np.array([[((query - mean) ** 2).sum() for mean in means] for query in queries])


def test_few_means_are_all_looked_at(means, queries):
    near = ClassIndex(means).look(queries, np.arange(200))
    assert near.are_all
    np.testing.assert_allclose(near.squared_distances, plain_distances(queries, means), rtol=1e-9)
    np.testing.assert_array_equal(near.columns, np.tile(np.arange(200), (30, 1)))


@pytest.mark.parametrize("columns", [np.arange(200), np.arange(0, 200, 2)])
def test_of_many_means_the_nearest_are_found_among_those_asked_for(means, queries, columns):
    near = ClassIndex(means, few=10).look(queries, columns)
    every = plain_distances(queries, means[columns])
    order = np.argsort(every, axis=1)[:, :NEAREST]
    assert not near.are_all
    np.testing.assert_array_equal(near.columns, columns[order])
    np.testing.assert_allclose(near.squared_distances, np.take_along_axis(every, order, axis=1), rtol=1e-4)


def test_few_asked_for_out_of_many_are_all_looked_at(means, queries):
    near = ClassIndex(means, few=10).look(queries, np.array([3, 150]))
    assert near.are_all
    np.testing.assert_allclose(near.squared_distances, plain_distances(queries, means[[3, 150]]), rtol=1e-9)


def test_a_distance_is_never_below_zero_though_rounding_would_have_it_so(means):
    far = means + 1e6
    assert (ClassIndex(far).squared_distances(far, np.arange(200)) >= 0).all()

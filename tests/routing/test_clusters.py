"""Clusters of a task without classes: the number that made the rows, and something sensible from very few rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from routing.clusters import choose_clusters
from routing.statistics import summarise

NONE = np.empty((0, 12), dtype=np.float32)


def blobs(seed, number, rows, width=12, apart=6.0):
    """Rows about `number` centres, each direction less wide than the one before; and which centre is whose."""
    generator = np.random.default_rng(seed)
    wide = np.exp(-np.arange(width) / 8)
    centres = apart * generator.normal(size=(number, width)) * wide
    of = np.arange(rows) % number
    return (centres[of] + generator.normal(size=(rows, width)) * wide).astype(np.float32), of


def is_same_partition(left, right):
    pairs = len(set(zip(left.tolist(), right.tolist(), strict=True)))
    return pairs == len(set(left.tolist())) == len(set(right.tolist()))


@pytest.mark.parametrize("number", [2, 4, 8])
def test_the_groups_that_made_the_rows_are_found(number):
    features, of = blobs(number, number, 160)
    clusters = choose_clusters(features[:120], features[120:])
    assert clusters.dtype == np.int64
    assert is_same_partition(clusters, of[:120])


@pytest.mark.parametrize("width", [12, 90])
def test_rows_of_one_group_stay_one_cluster(width):
    chosen = [
        int(choose_clusters(features[:150], features[150:]).max()) + 1
        for features in (blobs(seed, 1, 200, width)[0] for seed in range(5))
    ]
    assert sorted(chosen)[2] == 1  # the held-out rows are noise: a rare 2 is none of its fault
    assert max(chosen) <= 2


def test_the_held_out_rows_decide_and_not_the_fit():
    """Every further cluster fits its own rows better; only rows not looked at say that it is too many."""
    features, _ = blobs(3, 2, 120)
    assert len(set(choose_clusters(features[:80], features[80:], counts=(1, 2, 16)).tolist())) == 2
    pairs = (
        np.repeat(features[:40], 2, axis=0) + np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32) * 1e-3
    )
    assert len(set(choose_clusters(pairs, pairs[::2], counts=(1, 2, 16)).tolist())) > 2


def test_without_held_out_rows_a_tenth_is_set_aside_and_every_row_gets_a_cluster():
    features, of = blobs(0, 4, 120)
    for held_out in (NONE, features[:1]):
        assert is_same_partition(choose_clusters(features, held_out), of)


def test_the_same_rows_and_seed_give_the_same_clusters():
    features, _ = blobs(1, 8, 90, apart=1.0)
    first = choose_clusters(features, NONE, counts=(8,), seed=5)
    np.testing.assert_array_equal(first, choose_clusters(features, NONE, counts=(8,), seed=5))
    others = [choose_clusters(features, NONE, counts=(8,), seed=seed) for seed in range(4)]
    assert any(not np.array_equal(first, other) for other in others)


def test_what_is_kept_of_the_clusters_is_what_is_kept_of_classes():
    features, of = blobs(0, 4, 120)
    clusters = choose_clusters(features, NONE)
    centroids, scatter = summarise(features, clusters, int(clusters.max()) + 1)
    _, of_truth = summarise(features, of, 4)
    assert sorted(centroids.counts.tolist()) == [30, 30, 30, 30]
    np.testing.assert_allclose(scatter, of_truth, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 5, 15, 19])
def test_too_few_rows_to_judge_are_one_cluster(rows):
    features, _ = blobs(0, 4, rows)
    np.testing.assert_array_equal(choose_clusters(features, NONE), np.zeros(rows))


def test_duplicates_only_are_one_cluster():
    features = np.repeat(blobs(0, 1, 1)[0], 60, axis=0)
    for held_out in (NONE, features[:5]):
        np.testing.assert_array_equal(choose_clusters(features, held_out), np.zeros(60))


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_copies_of_four_different_rows_are_four_clusters(size):
    features = np.tile(size * blobs(0, 4, 4)[0], (15, 1))
    assert is_same_partition(choose_clusters(features, features[:8]), np.arange(60) % 4)


def test_rows_that_differ_where_nothing_is_to_be_seen_are_as_one():
    """Two places, ten rows at each that differ by a thousandth: k-means, asked for four, finds two."""
    features = np.zeros((20, 3))
    features[:, 0] = np.repeat([-1.0, 1.0], 10)
    features[:, 1] = np.tile(np.arange(-4.5, 5), 2) * 1e-3
    clusters = choose_clusters(features, features[::7], counts=(4,))
    assert is_same_partition(clusters, np.repeat([0, 1], 10))
    assert clusters.max() == 1


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-8, 8, width=16)),
    hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(3)), elements=st.floats(-8, 8, width=16)),
    st.lists(st.sampled_from([1, 2, 3, 5, 8, 40]), min_size=1, max_size=3),
)
def test_every_row_has_a_cluster_and_every_number_up_to_the_last_occurs(features, held_out, counts):
    clusters = choose_clusters(features, held_out, counts=counts)
    assert clusters.shape == (len(features),)
    number = int(clusters.max()) + 1
    assert sorted(set(clusters.tolist())) == list(range(number))
    assert number <= max(1, len(features) // 5) and number <= max(counts)
    assert number <= len(np.unique(features, axis=0))


@pytest.mark.parametrize(
    ("features", "held_out", "counts", "message"),
    [
        (NONE, NONE, (1,), "one row or more"),
        (np.full((3, 12), np.nan), NONE, (1,), "row 0"),
        (np.ones((3, 12)), np.ones((3, 11)), (1,), r"\(N, 12\)"),
        (np.ones((3, 12)), NONE, (), "1 or more"),
        (np.ones((3, 12)), NONE, (4, 0), "1 or more"),
    ],
)
def test_what_cannot_be_clustered_is_refused(features, held_out, counts, message):
    with pytest.raises(ValueError, match=message):
        choose_clusters(features, held_out, counts=counts)

"""The index of very many class means, at small sizes, against a loop over all of them."""

from __future__ import annotations

import json
import os
import pickle

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.large_index import FLAT, LargeIndex
from routing.neighbours import ClassIndex

WIDTH = 8


def drawn(rows, seed=0, width=WIDTH):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def plain_nearest(queries, means, columns, k):
    """(N, k) distances and numbers, from a loop over these numbers."""
    distances = np.array(
        [[((query - means[column]) ** 2).sum() for column in columns] for query in queries.astype(np.float64)]
    )
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.asarray(columns)[order]


@pytest.fixture(params=["loose", "frozen"])
def flat(request):
    """Up to how many means all are loose: of 300, all are, or none."""
    return {"loose": 300, "frozen": 299}[request.param]


@pytest.fixture
def means():
    return drawn(300)


@pytest.fixture
def queries():
    return drawn(40, seed=1)


def assert_names_what_is_there(found, queries, means, columns):
    """Whether each distance is the one to the mean it names, nearest first, each once, and all among `columns`."""
    exact = ((queries[:, None].astype(np.float64) - means[found.columns]) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.squared_distances, exact, rtol=1e-5)
    assert (np.diff(found.squared_distances, axis=1) >= 0).all()
    assert np.isin(found.columns, columns).all()
    assert all(len(set(row)) == len(row) for row in found.columns.tolist())


def test_loose_means_are_found_exactly(means, queries):
    found = LargeIndex.build(means).nearest(queries, 7)
    distances, columns = plain_nearest(queries, means, range(300), 7)
    np.testing.assert_array_equal(found.columns, columns)
    np.testing.assert_allclose(found.squared_distances, distances, rtol=1e-6)


def test_frozen_means_are_found_nearly_always():
    centres = 20 * drawn(20, seed=2)
    means = np.repeat(centres, 50, axis=0) + drawn(1000, seed=3)
    queries = means[::10] + 0.1 * drawn(100, seed=4)
    found = LargeIndex.build(means, flat=0).nearest(queries, 5)
    _, columns = plain_nearest(queries, means, range(1000), 5)
    assert (found.columns == columns).mean() > 0.98
    assert_names_what_is_there(found, queries, means, np.arange(1000))


def test_all_of_them_can_be_asked_for_and_no_more_are_named(means, queries, flat):
    found = LargeIndex.build(means, flat=flat).nearest(queries, 1000)
    assert found.columns.shape == (40, 300)
    assert_names_what_is_there(found, queries, means, np.arange(300))


@given(
    rows=st.integers(1, 60),
    flat=st.integers(0, 60),
    more=st.lists(st.integers(0, 20), max_size=3),
    k=st.integers(1, 90),
    seed=st.integers(0, 1000),
    is_asked_for_some=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_whatever_came_and_went_as_many_as_there_are_get_named(rows, flat, more, k, seed, is_asked_for_some):
    """Above all: never -1, with which faiss fills up, and which Python reads as the last mean."""
    chance = np.random.default_rng(seed)
    means = drawn(rows, seed)
    index = LargeIndex.build(means, flat=flat)
    gone = np.array([], dtype=np.int64)
    for number, size in enumerate(more):
        means = np.concatenate([means, drawn(size, seed + number + 1)])
        removed = chance.integers(0, len(means), size=len(means) // 4)
        index, gone = index.with_more(means[len(means) - size :]).without(removed), np.concatenate([gone, removed])
    there = np.setdiff1d(np.arange(len(means)), gone)
    assert len(index) == len(there)
    among = chance.permutation(len(means))[: len(means) // 2] if is_asked_for_some else None
    columns = there if among is None else np.intersect1d(there, among)
    queries = drawn(3, seed + 9)
    found = index.nearest(queries, k, among=among)
    assert found.columns.shape == found.squared_distances.shape == (3, min(k, len(columns)))
    assert_names_what_is_there(found, queries, means, columns)


def test_a_few_far_away_are_found_among_many_frozen(queries):
    """The cells near the query hold none of them; faiss alone would answer -1."""
    means = drawn(1000)
    means[-3:] += 100
    index = LargeIndex.build(means, flat=0)
    found = index.nearest(queries, 2, among=np.array([3, 997, 998, 999]))
    np.testing.assert_array_equal(found.columns, plain_nearest(queries, means, [3, 997, 998, 999], 2)[1])
    left = index.without(np.arange(997)).nearest(queries, 3)
    np.testing.assert_array_equal(left.columns, plain_nearest(queries, means, [997, 998, 999], 3)[1])


def test_a_tenth_of_the_frozen_is_searched_as_thoroughly_as_a_loose_part(queries):
    """As many more cells are looked into as fewer means are asked for: of a tenth, all cells."""
    means, among = drawn(1000), np.arange(0, 1000, 10)
    found = LargeIndex.build(means, flat=0).nearest(queries, 5, among=among)
    np.testing.assert_array_equal(found.columns, plain_nearest(queries, means, among, 5)[1])


def test_a_frozen_mean_that_goes_makes_room_for_the_next_of_its_own_cells_alone():
    """No other cell is looked into for its sake: what was measured before with it still holds (reach.py)."""
    chance = np.random.default_rng(3)
    means, queries = chance.normal(size=(1024, 6)), chance.normal(size=(50, 6))
    index = LargeIndex.build(means, flat=100)
    before = index.nearest(queries, 20).columns
    gone = before[0, 5]
    after = index.without(np.array([gone])).nearest(queries, 20).columns
    for was, now in zip(before, after, strict=True):
        staying = was[was != gone]
        np.testing.assert_array_equal(now[: len(staying)], staying)


def test_more_means_are_numbered_on_and_removed_numbers_are_not_given_again(means, flat):
    index = LargeIndex.build(means, flat=flat).with_more(means[:2] + 1).without(np.array([301]))
    index = index.with_more(means[:2] + 50)
    np.testing.assert_array_equal(index.nearest(means[:2] + 50, 1).columns, [[302], [303]])
    assert len(index) == 303


def test_an_index_is_a_value_that_its_successors_and_its_maker_leave_alone(means, queries, flat):
    index = LargeIndex.build(means, flat=flat)
    before = index.nearest(queries, 5)
    index.with_more(queries).without(np.arange(200))
    means[:] = 0
    after = index.nearest(queries, 5)
    np.testing.assert_array_equal(after.columns, before.columns)
    np.testing.assert_array_equal(after.squared_distances, before.squared_distances)


def test_equal_seeds_give_equal_answers_whatever_the_batch(means, queries):
    one = LargeIndex.build(means, flat=0, seed=3).nearest(queries, 5)
    two = [LargeIndex.build(means, flat=0, seed=3).nearest(query[None], 5) for query in queries]
    np.testing.assert_array_equal(one.columns, np.concatenate([found.columns for found in two]))
    assert (LargeIndex.build(means, flat=0, seed=4).nearest(queries, 5).columns != one.columns).any()  # other cells


def test_distances_off_the_origin_keep_their_digits():
    """|q|² + |m|² - 2 q·m in float32, which faiss computes for batches as large as this, loses three of them."""
    means, queries = drawn(300, width=64) + np.float32(100), drawn(2000, seed=1, width=64) + np.float32(100)
    for flat in (0, 300):
        found = LargeIndex.build(means, flat=flat).nearest(queries, 5)
        assert_names_what_is_there(found, queries, means, np.arange(300))


def test_no_query_gets_no_answer(means, flat):
    assert LargeIndex.build(means, flat=flat).nearest(np.empty((0, WIDTH), dtype=np.float32), 5).columns.shape == (0, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e25, 1e200])
def test_what_is_not_finite_or_would_overflow_is_refused_at_each_door(means, flat, bad):
    vectors = means.astype(np.float64)
    vectors[2, 3] = bad
    index = LargeIndex.build(means, flat=flat)
    for door in [LargeIndex.build, index.with_more, lambda some: index.nearest(some, 1)]:
        with pytest.raises(ValueError, match="expected finite .* in row 2"):
            door(vectors)


def test_the_largest_vectors_that_are_let_in_are_found(flat):
    """The border lies where two opposite vectors are just near enough for a squared distance in float32."""
    large = np.float32(6.5e18) * np.eye(WIDTH, dtype=np.float32)
    index = LargeIndex.build(np.concatenate([large, -large]), flat=min(flat, 0 if flat < 300 else 300))
    found = index.nearest(large, 2 * WIDTH)
    assert np.isfinite(found.squared_distances).all()
    assert (found.columns >= 0).all()
    with pytest.raises(ValueError, match="squared length below"):
        index.nearest(large * np.float32(1.1), 1)


@pytest.mark.parametrize("shape", [(3,), (3, WIDTH + 1), (3, 0)])
def test_another_shape_is_refused(means, shape):
    index = LargeIndex.build(means)
    for door in [index.with_more, lambda some: index.nearest(some, 1)]:
        with pytest.raises(ValueError, match=rf"\(N, {WIDTH}\), got"):
            door(np.zeros(shape, dtype=np.float32))


def test_no_neighbour_and_unknown_numbers_are_refused(means, queries):
    index = LargeIndex.build(means)
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        index.nearest(queries, 0)
    for unknown in (-1, 300):
        for door in [index.without, lambda some: index.nearest(queries, 1, among=some)]:
            with pytest.raises(ValueError, match="from 0 to 299"):
                door(np.array([unknown]))


def test_an_index_wants_to_be_rebuilt_once_a_tenth_is_loose_or_removed():
    index = LargeIndex.build(drawn(300), flat=0)
    assert not index.wants_rebuild
    assert not index.with_more(drawn(30)).wants_rebuild
    assert index.with_more(drawn(31)).wants_rebuild
    assert not index.without(np.arange(30)).wants_rebuild
    assert index.without(np.arange(31)).wants_rebuild


def test_an_index_without_frozen_part_wants_one_above_the_flat_size():
    index = LargeIndex.build(drawn(FLAT - 1, width=1))
    assert not index.with_more(drawn(1, width=1)).wants_rebuild
    assert index.with_more(drawn(2, width=1)).wants_rebuild


def test_a_saved_index_opens_as_it_was(means, queries, flat, tmp_path):
    index = LargeIndex.build(means, flat=flat).with_more(drawn(9, seed=5)).without(np.array([1, 305]))
    index.save(tmp_path / "new" / "index")
    opened = LargeIndex.open(tmp_path / "new" / "index")
    before, after = index.nearest(queries, 20), opened.nearest(queries, 20)
    np.testing.assert_array_equal(after.columns, before.columns)
    np.testing.assert_array_equal(after.squared_distances, before.squared_distances)
    assert len(opened) == 307
    np.testing.assert_array_equal(opened.with_more(queries[:1]).nearest(queries[:1], 1).columns, [[309]])


def test_a_small_change_leaves_the_frozen_file_alone(means, tmp_path):
    LargeIndex.build(means, flat=0).save(tmp_path)
    [frozen] = tmp_path.glob("frozen-*")
    before = frozen.stat()
    LargeIndex.open(tmp_path).with_more(means[:3] + 9).save(tmp_path)
    assert (frozen.stat().st_mtime_ns, frozen.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    np.testing.assert_array_equal(LargeIndex.open(tmp_path).nearest(means[:1] + 9, 1).columns, [[300]])
    assert len(list(tmp_path.iterdir())) == 3


def test_an_opened_index_can_be_saved_elsewhere_and_the_first_place_removed(means, queries, flat, tmp_path):
    index = LargeIndex.build(means, flat=flat)
    index.save(tmp_path / "one")
    LargeIndex.open(tmp_path / "one").save(tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        path.unlink()
    found = LargeIndex.open(tmp_path / "two").nearest(queries, 5)
    np.testing.assert_array_equal(found.columns, index.nearest(queries, 5).columns)


def test_a_reader_keeps_its_index_when_another_takes_the_place(means, queries, tmp_path):
    LargeIndex.build(means, flat=0).save(tmp_path)
    reader = LargeIndex.open(tmp_path)
    before = reader.nearest(queries, 5)
    LargeIndex.build(means + 1, flat=0).save(tmp_path)
    np.testing.assert_array_equal(reader.nearest(queries, 5).columns, before.columns)
    assert len(list(tmp_path.glob("frozen-*"))) == 1


@pytest.mark.parametrize("step", range(3))
def test_a_save_that_dies_leaves_the_index_that_was_there(means, flat, tmp_path, monkeypatch, step):
    """Whichever of its files it dies at; and the next save clears away what it left."""
    LargeIndex.build(means, flat=flat).save(tmp_path)
    steps = iter(range(3))
    rename = os.replace

    def dying(source, target):
        if next(steps) == step:
            raise OSError("no space left on device")
        rename(source, target)

    other = LargeIndex.build(drawn(301, seed=6), flat=0)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr(os, "replace", dying)
        other.save(tmp_path)
    assert len(LargeIndex.open(tmp_path)) == 300
    other.save(tmp_path)
    assert len(LargeIndex.open(tmp_path)) == 301
    assert len(list(tmp_path.iterdir())) == 3


def test_no_index_is_no_index(tmp_path):
    with pytest.raises(ValueError, match="found no manifest.json; build it again"):
        LargeIndex.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"null", b'{"format": "large-index-9"}', pickle.dumps({})])
def test_another_manifest_is_refused(means, tmp_path, content):
    LargeIndex.build(means).save(tmp_path)
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match="manifest.json, got .*; build it again"):
        LargeIndex.open(tmp_path)


@pytest.mark.parametrize("key", ["numbered", "frozen", "rest"])
def test_a_manifest_without_a_part_is_refused(means, tmp_path, key):
    LargeIndex.build(means).save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({name: part for name, part in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(ValueError, match=f"no '{key}' there; build it again"):
        LargeIndex.open(tmp_path)


def damaged(data, what):
    return {"missing": None, "cut": data[:-1], "longer": data + b"x", "another": data[:-1] + bytes([data[-1] ^ 1])}[
        what
    ]


@pytest.mark.parametrize("what", ["missing", "cut", "longer", "another"])
def test_damage_to_the_small_file_is_seen(means, tmp_path, what):
    LargeIndex.build(means).save(tmp_path)
    [path] = tmp_path.glob("rest-*")
    data = damaged(path.read_bytes(), what)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match="expected a whole index in .*; build it again"):
        LargeIndex.open(tmp_path)


@pytest.mark.parametrize("what", ["missing", "cut", "longer"])
def test_a_frozen_file_of_another_size_is_seen(means, tmp_path, what):
    LargeIndex.build(means, flat=0).save(tmp_path)
    [path] = tmp_path.glob("frozen-*")
    data = damaged(path.read_bytes(), what)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match="expected a whole index in .*frozen-.*; build it again"):
        LargeIndex.open(tmp_path)


@pytest.mark.parametrize(
    "other, message",
    [
        (lambda: None, "faiss cannot read"),
        (lambda: faiss.IndexFlatL2(WIDTH), "is a IndexFlat"),
        (lambda: faiss.index_factory(WIDTH, "IVF2,Flat"), "expected 300 means of width 8 .* got 0 of 8"),
        (lambda: faiss.index_factory(WIDTH + 1, "IVF2,Flat"), "expected 300 means of width 8 .* got 0 of 9"),
    ],
)
def test_another_faiss_file_in_the_place_of_the_frozen_one_is_seen(means, tmp_path, other, message):
    LargeIndex.build(means, flat=0).save(tmp_path)
    [path] = tmp_path.glob("frozen-*")
    path.unlink()
    if other() is None:
        path.write_bytes(b"no faiss file")
    else:
        faiss.write_index(other(), str(path))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["frozen"]["bytes"] = path.stat().st_size
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=f"{message}.*; build it again"):
        LargeIndex.open(tmp_path)


def test_numbers_that_are_not_there_are_not_let_through(means, queries, tmp_path):
    """A frozen file whose vectors turned NaN: faiss finds nothing and says -1."""
    LargeIndex.build(means, flat=0).save(tmp_path)
    [path] = tmp_path.glob("frozen-*")
    data, one = path.read_bytes(), means[0].tobytes()
    assert data.count(one) == 1
    path.write_bytes(data.replace(one, np.full(WIDTH, np.nan, dtype=np.float32).tobytes()))
    with pytest.raises(ValueError, match="the index is damaged, build it again"):
        LargeIndex.open(tmp_path).nearest(queries, 300)


@pytest.mark.parametrize("columns", [np.arange(300), np.arange(0, 300, 2)])
def test_many_class_means_are_looked_up_in_such_an_index(means, queries, flat, columns):
    near = ClassIndex(means.astype(np.float64), few=10, flat=flat).look(queries.astype(np.float64), columns, nearest=7)
    found = LargeIndex.build(means, flat=flat).nearest(queries, 7, among=columns)
    assert not near.are_all
    np.testing.assert_array_equal(near.columns, found.columns)
    np.testing.assert_array_equal(near.squared_distances, found.squared_distances)
    misses = (near.columns != plain_nearest(queries, means, columns, 7)[1]).any()
    assert misses == (flat < 300)  # cells were looked into where they should be, and only there


def test_a_feature_that_is_finite_in_float64_alone_gets_no_class_of_faiss(means, queries, flat):
    index = ClassIndex(means.astype(np.float64), few=10, flat=flat)
    with pytest.raises(ValueError, match="expected finite queries"):
        index.look(1e200 * queries.astype(np.float64), np.arange(300))


def test_the_nearest_are_found_where_float32_cannot_tell_squares_apart():
    """Far from the origin |q|² + |m|² - 2 q·m is off by more than the distances differ."""
    dice = np.random.default_rng(0)
    steps = np.arange(1, 7)[:, None] * np.array([[0.25, 0.0, 0.0]])
    near = 3000 + dice.permutation(steps)
    means = np.concatenate([dice.normal(size=(40, 3)), near])
    found = LargeIndex.build(means).nearest(np.full((1, 3), 3000.0), 3)
    np.testing.assert_allclose(found.squared_distances[0], [0.25**2, 0.5**2, 0.75**2], rtol=1e-6)


def test_more_queries_than_are_looked_at_at_once_give_what_each_alone_gives():
    dice = np.random.default_rng(0)
    index, queries = LargeIndex.build(dice.normal(size=(50, 4))), dice.normal(size=(150, 4))
    together = index.nearest(queries, 5)
    for row in (0, 63, 64, 149):
        alone = index.nearest(queries[row : row + 1], 5)
        assert alone.columns[0].tolist() == together.columns[row].tolist()
        np.testing.assert_allclose(alone.squared_distances[0], together.squared_distances[row], rtol=1e-12)

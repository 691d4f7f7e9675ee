"""The cache of fitted spaces: what is used again, what is made anew, and what is cleared away."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from portfolio.router_cache import CACHE, KEPT, RouterCache, is_large
from routing.router import CentroidRouter
from routing.statistics import Totals, summarise

WIDTH, FIRST, CLASSES, ROWS = 5, 3, 2, 6
SHRINKAGE = 0.25


def task(number):
    chance = np.random.default_rng(number)
    middles = np.repeat(chance.normal(scale=5, size=(CLASSES, WIDTH)), ROWS, axis=0)
    features = chance.normal(size=(CLASSES * ROWS, WIDTH)) + middles
    return summarise(features.astype(np.float32), np.repeat(np.arange(CLASSES), ROWS), CLASSES)


TASKS = {f"task{number:02}": task(number) for number in range(60)}
NAMES = list(TASKS)
QUERIES = np.concatenate([TASKS[name][0].means for name in NAMES[:30]]).astype(np.float32)


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch):
    monkeypatch.setattr("portfolio.router_cache.MOST_EXACT", 10)
    monkeypatch.setattr("portfolio.router_cache.FLAT", 10)


@pytest.fixture
def cache(tmp_path):
    return RouterCache(tmp_path, WIDTH, FIRST)


def totals_of(names):
    totals = Totals.zero(WIDTH)
    for name in names:
        totals = totals.add(*TASKS[name])
    return totals


def of(names):
    """Totals, marks and centroids, as the cache takes them."""
    return totals_of(names), {name: name for name in names}, {name: TASKS[name][0] for name in names}


def directories(root):
    return sorted(path.name for path in (root / CACHE).iterdir())


def same_answers(one, other, names):
    totals, _, centroids = of(names)
    ours, theirs = (CentroidRouter(totals, centroids, space=space).choose(QUERIES) for space in (one, other))
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.nearest_tasks, theirs.nearest_tasks)


def test_a_router_is_large_above_so_many_classes():
    assert not is_large(totals_of(NAMES[:5])) and is_large(totals_of(NAMES[:6]))


def test_what_one_process_fitted_another_maps(cache, tmp_path, monkeypatch):
    assert cache.kept(*of(NAMES)) is None
    made = cache.fitted(*of(NAMES), SHRINKAGE)
    monkeypatch.setattr("portfolio.router_cache.fit_space", None)
    found = RouterCache(tmp_path, WIDTH, FIRST).kept(*of(NAMES), SHRINKAGE)
    same_answers(made, found, NAMES)
    same_answers(made, RouterCache(tmp_path, WIDTH, FIRST).fitted(*of(NAMES), SHRINKAGE), NAMES)


def test_a_fit_is_kept_in_memory_and_on_disk_while_few_tasks_come_and_go(cache, tmp_path):
    made = cache.fitted(*of(NAMES[:50]), SHRINKAGE)
    for names in (NAMES[:51], NAMES[:53], NAMES[2:53]):
        kept = cache.kept(*of(names))
        assert kept.fit is made.fit
        same_answers(kept, RouterCache(tmp_path, WIDTH, FIRST).kept(*of(names)), names)
    assert cache.kept(*of(NAMES)) is None  # ten of fifty
    assert len(directories(tmp_path)) == 1


def test_a_fit_serves_no_more_once_its_indexes_want_to_be_built_anew(cache):
    """Of small tasks a tenth of the class means comes before a tenth of the rows."""
    cache.fitted(*of(NAMES[:50]), SHRINKAGE)
    small = {
        f"small{number}": summarise(np.full((1, WIDTH), float(number)), np.zeros(1, dtype=int), 1)
        for number in range(20)
    }
    totals, marks, centroids = of(NAMES[:50])
    for number, (name, (found, scatter)) in enumerate(small.items()):
        totals, marks, centroids = totals.add(found, scatter), {**marks, name: name}, {**centroids, name: found}
        assert (cache.kept(totals, marks, centroids) is None) == (number >= 10)


def test_a_fit_of_another_shrinkage_or_of_other_looks_is_not_used(cache, tmp_path):
    cache.fitted(*of(NAMES), SHRINKAGE)
    assert cache.kept(*of(NAMES), SHRINKAGE + 0.1) is None
    assert cache.kept(*of(NAMES), SHRINKAGE) is not None
    assert RouterCache(tmp_path, WIDTH, 2).kept(*of(NAMES)) is None
    one_look = RouterCache(tmp_path, WIDTH, WIDTH)
    assert list(one_look.fitted(*of(NAMES), SHRINKAGE).looks) == [WIDTH]


@pytest.mark.parametrize("name", ["manifest.json", "tasks.json", "fit.safetensors", f"{FIRST}/classes/manifest.json"])
def test_a_damaged_fit_is_made_again(cache, tmp_path, name):
    made = cache.fitted(*of(NAMES), SHRINKAGE)
    [key] = directories(tmp_path)
    (tmp_path / CACHE / key / name).write_bytes(b"damaged")
    other = RouterCache(tmp_path, WIDTH, FIRST)
    assert other.kept(*of(NAMES)) is None
    same_answers(made, other.fitted(*of(NAMES), SHRINKAGE), NAMES)
    assert directories(tmp_path) == [key]
    assert RouterCache(tmp_path, WIDTH, FIRST).kept(*of(NAMES)) is not None


def test_a_fit_that_was_removed_stays_in_use_where_it_is_open_and_is_made_again_elsewhere(cache, tmp_path):
    made = cache.fitted(*of(NAMES), SHRINKAGE)
    shutil.rmtree(tmp_path / "cache")
    same_answers(made, cache.kept(*of(NAMES)), NAMES)
    assert RouterCache(tmp_path, WIDTH, FIRST).kept(*of(NAMES)) is None


def test_where_nothing_can_be_written_the_fit_stays_in_memory(cache, tmp_path):
    (tmp_path / "cache").write_text("a file where the directory should be")
    made = cache.fitted(*of(NAMES), SHRINKAGE)
    same_answers(made, cache.kept(*of(NAMES)), NAMES)
    assert (tmp_path / "cache").is_file()


def test_the_newest_fits_stay_and_older_ones_go(cache, tmp_path):
    keys = []
    for number, share in enumerate((0.1, 0.2, 0.3, 0.4)):
        cache.fitted(*of(NAMES), share)
        [key] = set(directories(tmp_path)) - set(keys)
        os.utime(tmp_path / CACHE / key, (1000 + number, 1000 + number))
        keys.append(key)
    assert KEPT == 2
    assert set(directories(tmp_path)) == set(keys[-2:])


def test_what_a_killed_process_left_is_cleared_once_it_is_old(cache, tmp_path):
    for name, age_s in (("abandoned", 10_000), ("being-written", 10)):
        path = tmp_path / CACHE / f".part-{name}"
        path.mkdir(parents=True)
        now = os.stat(path).st_mtime
        os.utime(path, (now - age_s, now - age_s))
    cache.fitted(*of(NAMES), SHRINKAGE)
    assert ".part-being-written" in directories(tmp_path)
    assert ".part-abandoned" not in directories(tmp_path)
    assert RouterCache(tmp_path, WIDTH, FIRST).kept(*of(NAMES)) is not None


def test_the_key_names_all_that_was_fitted_to(cache, tmp_path):
    cache.fitted(*of(NAMES), SHRINKAGE)
    [one] = directories(tmp_path)
    totals, marks, centroids = of(NAMES)
    cache.fitted(totals, marks | {NAMES[3]: "another digest"}, centroids, SHRINKAGE)
    assert len(directories(tmp_path)) == 2
    tasks = json.loads((tmp_path / CACHE / one / "tasks.json").read_text())
    assert [name for name, *_ in tasks["tasks"]] == NAMES

"""A portfolio whose router is large: fitted once, kept on disk, and added to. Few classes count as many here."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from portfolio.calibrating import Changes, calibrated_router, known_tasks, recalibrate, totals_of
from portfolio.hosting.trunk import prepare
from portfolio.portfolio import Portfolio
from portfolio.records import RouterWishes
from portfolio.router_cache import CACHE

WORDS = "rose tulip fern moss daisy ivy spade rake hoe shears soup stew pie salad curry pan ladle whisk ferry tug"
PLACES = {f"place{number:02}": random.Random(number).sample(WORDS.split(), 4) for number in range(30)}
TEXTS = ["rose tulip fern", "soup pie stew", "ferry tug pan", "storm fog gale", "hoe rake spade", "opera drum"]


def examples(rows, seed):
    draw, labels = random.Random(seed), sorted(PLACES)
    return [(" ".join(draw.sample(PLACES[label], 3)), label) for label in (labels[row % 30] for row in range(rows))]


def write(path, rows):
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


@pytest.fixture(scope="session")
def _two_tasks(tmp_path_factory, tiny_base, quick, task_files):
    """A folder with a portfolio of a task of thirty classes and one of two, its router still small."""
    folder = tmp_path_factory.mktemp("large")
    portfolio = Portfolio.init(folder / "large", tiny_base)
    train, test = write(folder / "train.jsonl", examples(300, 0)), write(folder / "test.jsonl", examples(30, 1))
    portfolio.add_task("places", train, test=test, training=quick)
    files = task_files(folder, "garden", train_rows=24, test_rows=10, seed=0)
    portfolio.add_task("garden", files.train, test=files.test, training=quick)
    assert not (folder / "large" / CACHE).exists()
    portfolio.close()
    return folder


@pytest.fixture
def root(_two_tasks, tmp_path, monkeypatch):
    """A copy of that portfolio, whose router is large from now on."""
    shutil.copytree(_two_tasks / "large", tmp_path / "large")
    monkeypatch.setattr("portfolio.router_cache.MOST_EXACT", 20)
    monkeypatch.setattr("portfolio.router_cache.FLAT", 20)
    return tmp_path / "large"


@pytest.fixture
def add(files_of, quick):
    def added(portfolio, name):
        files = files_of(name)
        portfolio.add_task(name, files.train, test=files.test, training=quick)

    return added


def keys(root):
    return sorted(path.name for path in (root / CACHE).iterdir())


def router_of(portfolio):
    router = portfolio.engine().refresh().router
    assert router is not None and router.whole.is_kept
    return router


def fit_of(root):
    """The digest of the fit on disk, by its transforms."""
    [key] = keys(root)
    return key, (root / CACHE / key / "fit.safetensors").read_bytes()


def figures(portfolio):
    """What the router says of some texts, forced, by task."""
    engine = portfolio.engine()
    features = engine.view(prepare(engine.host, engine.encode(TEXTS, None)).features)
    decisions = engine.refresh().router.whole.route(features, top_k=9)
    return [
        {**dict(zip(one.tasks, one.scores, strict=True)), "in scope": one.in_scope, "refused": one.abstain}
        for one in decisions
    ]


def assert_same(one, other, tolerance=1e-6):
    for ours, theirs in zip(figures(one), figures(other), strict=True):
        assert ours == pytest.approx(theirs, abs=tolerance)


def chosen(portfolio):
    state = portfolio.snapshot().router
    return replace(state, totals="", ece=None, ece_before=None, asked=None)


def test_a_large_router_is_fitted_once_and_says_what_a_small_one_says(root, opened, monkeypatch):
    first = opened(root)
    router_of(first)
    assert len(keys(root)) == 1
    monkeypatch.setattr("portfolio.router_cache.fit_space", None)
    second = opened(root)
    assert_same(first, second, tolerance=0)
    monkeypatch.setattr("portfolio.router_cache.MOST_EXACT", 1000)
    exact = opened(root)
    assert not exact.engine().refresh().router.whole.is_kept
    for ours, theirs in zip(figures(second), figures(exact), strict=True):
        for name in ("places", "garden"):  # in scope it may miss the nearest of so few cells
            assert ours[name] == pytest.approx(theirs[name], abs=1e-4)


def test_opened_from_the_cache_no_task_s_class_means_are_read(root, opened, monkeypatch):
    """Few tasks may have covariances of their own, which are read; here they are taken for many."""
    figures(opened(root))
    monkeypatch.setattr("routing.router.MOST_OWN", 1)
    portfolio = opened(root)
    places = next(task for task in portfolio.snapshot().tasks if task.name == "places")
    blob = root / "blobs" / places.centroids[:2] / places.centroids[2:]
    blob.rename(root / "elsewhere")
    assert portfolio.predict(["rose tulip fern"], abstain=False)[0].task in ("places", "garden")
    assert any(fault.kind == "blob-missing" for fault in portfolio.verify())


def test_a_task_that_joins_leaves_fit_and_settings_as_they_are_and_one_that_leaves_restores_the_router(
    root, opened, add
):
    portfolio = opened(root)
    before, settings, asked = fit_of_after_open(portfolio, root), chosen(portfolio), figures(portfolio)
    add(portfolio, "kitchen")
    assert fit_of(root) == before
    assert chosen(portfolio) == settings
    assert router_of(portfolio).tasks == ("places", "garden", "kitchen")
    assert_same(portfolio, opened(root))  # as a process that starts now
    kitchen = portfolio.predict(["soup stew pie", "kettle whisk ladle"], abstain=False)
    assert "kitchen" in {answer.task for answer in kitchen}
    portfolio.remove_task("kitchen")
    assert fit_of(root) == before
    for ours, theirs in zip(figures(portfolio), asked, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert not portfolio.verify()


def fit_of_after_open(portfolio, root):
    router_of(portfolio)
    return fit_of(root)


def test_after_a_tenth_the_router_is_fitted_and_calibrated_anew_as_if_it_always_had_these_tasks(root, opened, add):
    portfolio = opened(root)
    router_of(portfolio)
    [first] = keys(root)
    add(portfolio, "kitchen")
    add(portfolio, "harbour")
    assert len(keys(root)) == 2 and first in keys(root)  # another process may be about to open it
    grown = figures(portfolio)
    shutil.rmtree(root / "cache")
    again = opened(root)
    for ours, theirs in zip(figures(again), grown, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert portfolio.snapshot().router.totals == again.snapshot().router.totals


def test_settings_are_chosen_again_with_each_fit_and_with_other_wishes(root, opened, add, settle, monkeypatch):
    """Even where the new fit is shrunk by the same share as the one before."""
    monkeypatch.setattr("portfolio.calibrating.choose_shrinkage", lambda *of_what: 0.3)
    portfolio = opened(root)
    settle(portfolio, shrinkage=0.3, threshold=-1e6)
    add(portfolio, "kitchen")
    assert portfolio.snapshot().router.threshold == -1e6
    engine, snapshot = portfolio.engine(), portfolio.snapshot()
    now = totals_of(engine, snapshot), known_tasks(engine, snapshot)
    assert calibrated_router(engine, *now, snapshot.router.wishes)[1] == snapshot.router
    assert calibrated_router(engine, *now, RouterWishes(coverage=0.8))[1].threshold > -1e3
    add(portfolio, "harbour")
    assert portfolio.snapshot().router.shrinkage == 0.3
    assert portfolio.snapshot().router.threshold > -1e3


def test_another_coverage_is_calibrated_for_under_the_fit_that_stands(root, opened):
    portfolio = opened(root)
    engine, before = portfolio.engine(), portfolio.snapshot().router
    router_of(portfolio)
    fit = fit_of(root)
    found = recalibrate(engine, Changes(coverage=0.5), read_again=lambda task: None)
    assert fit_of(root) == fit
    assert found.state.shrinkage == before.shrinkage
    assert found.state.threshold > before.threshold
    assert router_of(portfolio).whole.settings.threshold == found.state.threshold


@pytest.mark.parametrize("what", ["damaged", "gone", "unfinished"])
def test_the_cache_is_never_needed_and_never_a_fault(root, opened, what):
    portfolio = opened(root)
    asked = figures(portfolio)
    [key] = keys(root)
    if what == "gone":
        shutil.rmtree(root / "cache")
    elif what == "damaged":
        (root / CACHE / key / "tasks.json").write_text("{}")
    else:
        (root / CACHE / key).rename(root / CACHE / ".part-0123")
    assert portfolio.verify() == ()
    again = opened(root)
    for ours, theirs in zip(figures(again), asked, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert key in keys(root)
    assert again.verify() == ()


def test_a_portfolio_that_cannot_be_written_opens_without_a_cache(root, opened, add):
    shutil.rmtree(root / "cache", ignore_errors=True)
    (root / "cache").write_text("no directory can be made here, whoever asks")
    portfolio = opened(root)
    router_of(portfolio)
    add(portfolio, "kitchen")
    assert router_of(portfolio).tasks == router_of(opened(root)).tasks == ("places", "garden", "kitchen")
    assert (root / "cache").is_file()


def test_a_router_that_shrinks_below_is_exact_again(root, opened, add):
    portfolio = opened(root)
    router_of(portfolio)
    add(portfolio, "kitchen")
    portfolio.remove_task("places")
    router = portfolio.engine().refresh().router
    assert router.tasks == ("garden", "kitchen") and not router.whole.is_kept
    assert np.isfinite(router.whole.settings.shrinkage)

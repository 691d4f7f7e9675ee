"""Calibration where classes are very many: what it looks at is bounded, and the newest task always has a say."""

from __future__ import annotations

import numpy as np
import pytest

from routing.calibration import MOST_ROWS, MOST_ROWS_OF_MANY, calibrate, choose_shrinkage, rows_for, rows_of_many
from routing.cascade import Cascade
from routing.cascade_calibration import calibrate_cascade
from routing.kept_space import fit_space
from routing.router import CentroidRouter, covariance_of
from routing.statistics import Totals, summarise

WIDTH, CLASSES, ROWS = 20, 3, 3


def rows_of(sizes):
    """Each row of a task is its number."""
    return [np.full((size, 1), number, dtype=np.float32) for number, size in enumerate(sizes)]


def test_of_very_many_tasks_so_many_have_a_say_and_the_newest_always():
    some = rows_of_many(rows_of([3] * (2 * MOST_ROWS_OF_MANY)))
    sizes = np.array([len(rows) for rows in some])
    assert sizes.sum() == (sizes > 0).sum() == MOST_ROWS_OF_MANY
    assert sizes[-1] == 1
    assert 0.4 < sizes[: len(sizes) // 2].mean() < 0.6  # spread over all of them
    again = rows_of_many(rows_of([3] * (2 * MOST_ROWS_OF_MANY)))
    assert [len(rows) for rows in again] == sizes.tolist()


def test_tasks_without_rows_take_nobodys_place():
    sizes = [0] * MOST_ROWS_OF_MANY + [2] * 20
    assert [len(rows) for rows in rows_of_many(rows_of(sizes))] == sizes


def test_few_tasks_of_very_many_classes_are_looked_at_evenly():
    some = rows_of_many(rows_of([5 * MOST_ROWS_OF_MANY, 10, 5 * MOST_ROWS_OF_MANY]))
    assert len(some[0]) == len(some[2]) and len(some[1]) == 10
    assert MOST_ROWS_OF_MANY - 3 < sum(len(rows) for rows in some) <= MOST_ROWS_OF_MANY


@pytest.fixture(scope="module")
def portfolio():
    """Totals, centroids and validation rows of 30 tasks."""
    chance = np.random.default_rng(3)
    totals, centroids, validation = Totals.zero(WIDTH), {}, []
    mixing = chance.normal(size=(WIDTH, WIDTH)) * np.geomspace(0.2, 2, WIDTH)
    for number in range(30):
        middles = chance.normal(scale=3, size=(CLASSES, WIDTH))
        rows = chance.normal(size=(2, CLASSES * ROWS, WIDTH)) @ mixing + np.repeat(middles, ROWS, axis=0)
        centroids[f"task{number}"], scatter = summarise(
            rows[0].astype(np.float32), np.repeat(np.arange(CLASSES), ROWS), CLASSES
        )
        totals = totals.add(centroids[f"task{number}"], scatter)
        validation.append(rows[1].astype(np.float32))
    return totals, centroids, validation


def test_between_tasks_that_are_few_the_shrinkage_is_the_one_that_all_of_them_choose(portfolio):
    totals, centroids, validation = portfolio
    chosen = calibrate(CentroidRouter(totals, centroids), validation, 0.95).shrinkage
    assert choose_shrinkage(totals, centroids, validation) == chosen != covariance_of(totals).oas


def test_the_shrinkage_of_very_many_is_chosen_between_some_with_the_newest_among_them(portfolio, monkeypatch):
    class Asked(dict):
        def __getitem__(self, name):
            names.add(name)
            return super().__getitem__(name)

    totals, centroids, validation = portfolio
    names = set()
    monkeypatch.setattr("routing.calibration.CLASSES_TRIED", 5 * CLASSES)
    share = choose_shrinkage(totals, Asked(centroids), validation)
    assert 5 <= len(names) <= 6 and "task29" in names
    assert 0 <= share <= 1


def test_a_kept_space_keeps_its_shrinkage_while_all_else_is_chosen(portfolio):
    totals, centroids, validation = portfolio
    marks = {name: name for name in centroids}
    space = fit_space(covariance_of(totals), centroids, marks, shrinkage=0.77, widths=(WIDTH, 3), flat=0)
    cascade = Cascade(CentroidRouter(totals, centroids, space=space), 3)
    assert calibrate(cascade.whole, validation, 0.9).shrinkage == 0.77
    chosen, quality = calibrate_cascade(cascade, validation, 0.9)
    assert chosen.whole.shrinkage == 0.77 and chosen.first is not None
    assert np.isfinite([chosen.whole.threshold, chosen.first.in_scope]).all()
    assert quality.coverage == pytest.approx(0.9, abs=0.01)
    made = cascade.calibrated(chosen).choose(np.concatenate(validation))
    assert made.asked.mean() == pytest.approx(quality.asked)


def test_only_a_kept_space_is_calibrated_on_so_few(portfolio):
    totals, centroids, validation = portfolio
    many = [np.tile(rows, (12, 1)) for rows in validation]  # 30 tasks of 108 rows
    space = fit_space(
        covariance_of(totals), centroids, {name: name for name in centroids}, shrinkage=0.3, widths=(WIDTH,)
    )
    kept, exact = CentroidRouter(totals, centroids, space=space), CentroidRouter(totals, centroids)
    assert sum(len(rows) for rows in rows_for(kept, many)) == MOST_ROWS_OF_MANY // 30 * 30
    assert sum(len(rows) for rows in rows_for(exact, many)) == MOST_ROWS // 30 * 30

"""A portfolio that a script made up is one that the package finds nothing wrong with, and says that it is made up."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from portfolio.portfolio import Portfolio

if TYPE_CHECKING:
    from portfolio.hosting.base import Base

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def made_up() -> ModuleType:
    """The module, whose neighbours it imports by name."""
    before = list(sys.path)
    sys.path.append(str(BENCHMARKS))
    try:
        return importlib.import_module("synthetic_portfolio")
    finally:
        sys.path[:] = before


@pytest.mark.parametrize("every_step", [True, False])
def test_it_is_sound_answers_and_reports(
    made_up: ModuleType, tiny_base: Base, tmp_path: Path, every_step: bool
) -> None:
    shape = made_up.Shape(labels=3, rank=2, rows=5, validation=3, test=6)
    store = made_up.make_synthetic(tmp_path / "made", 4, shape=shape, base=tiny_base, every_step=every_step)
    assert store.verify() == ()
    opened = Portfolio.open(tmp_path / "made", base=tiny_base)
    answers = opened.predict(["rose", "spade"], task="synthetic-00003")
    assert all((answer.label or "").startswith("synthetic-00003 label ") for answer in answers)
    assert len(opened.predict(["rose"], abstain=False)) == 1
    snapshot = opened.snapshot()
    assert len(snapshot.cells) == (10 if every_step else 4)
    assert all("synthetic" in note for task in snapshot.tasks for note in task.notes)
    assert {task.tags for task in snapshot.tasks} == {(("made", "synthetic"),)}
    report = opened.report()
    assert report.rows_kept == every_step
    assert len(report.tasks) == 4 and all(one.rows == 6 for one in report.per_task)


def test_the_sums_are_those_of_its_tasks(made_up: ModuleType, tiny_base: Base, tmp_path: Path) -> None:
    """So a task can be taken out again."""
    import numpy as np

    from routing.statistics import Totals, centroids_from_bytes, scatter_from_bytes, totals_from_bytes

    store = made_up.make_synthetic(tmp_path / "made", 3, shape=made_up.Shape(labels=2, rows=4), base=tiny_base)
    snapshot = store.snapshot()
    assert snapshot.router is not None
    totals = totals_from_bytes(store.get(snapshot.router.totals))
    sums = [
        (centroids_from_bytes(store.get(task.centroids)), scatter_from_bytes(store.get(task.scatter)))
        for task in snapshot.tasks
    ]
    for one in sums[:2]:
        totals = totals.subtract(*one)
    left = Totals.zero(totals.width).add(*sums[2])
    assert (totals.rows, totals.classes) == (left.rows, left.classes) == (8, 2)
    assert np.allclose(totals.within, left.within) and np.allclose(totals.feature_sum, left.feature_sum)

"""Results are packed a row a step; what is read is what was written, and damage does not hide in a later change."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from portfolio.cells import SCORES
from portfolio.errors import StoreError
from portfolio.records import Cell, Results, Snapshot
from portfolio.store.checksums import checksum
from portfolio.store.store import Store


def change(store: Store, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(store.path / "portfolio.db", isolation_level=None)) as db:
        db.execute(statement, values)


def rewrite(store: Store, step: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """The row of a step as another hand would have written it, its checksum right."""
    with contextlib.closing(sqlite3.connect(store.path / "portfolio.db", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM result WHERE step = ?", (step,)).fetchone())
        edit(row)
        row["checksum"] = checksum(row)
        db.execute("DELETE FROM result WHERE step = ?", (step,))
        db.execute(f"INSERT INTO result ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})", tuple(row.values()))


def steps(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(cell.step, cell.task) for cell in snapshot.cells]


def test_without_history_the_last_row_is_read_and_all_else(two_tasks: Store) -> None:
    whole, short = two_tasks.snapshot(), two_tasks.snapshot(history=False)
    assert {step for step, _ in steps(whole)} == {"first", "second"}
    assert list(short.cells) == [cell for cell in whole.cells if cell.step == "second"]
    assert (short.tasks, short.adapters, short.router, short.moments) == (
        whole.tasks,
        whole.adapters,
        whole.router,
        whole.moments,
    )


def test_an_empty_portfolio_has_none(store: Store) -> None:
    assert len(store.snapshot().cells) == len(store.snapshot(history=False).cells) == 0


def test_a_task_that_takes_the_place_of_one_that_went_has_none_of_its_results(
    two_tasks: Store, synthetic: ModuleType
) -> None:
    two_tasks.commit_results(
        expected_generation=2, results=Results(cells=(Cell(step="first", task="second", rows=3, oracle=0.5),))
    )
    synthetic.remove_task(two_tasks, "second")
    synthetic.add_task(two_tasks, "third")
    assert steps(two_tasks.snapshot()) == [("first", "first"), ("third", "first"), ("third", "third")]
    assert two_tasks.verify() == ()


def test_a_score_that_was_not_known_when_a_row_was_written_is_not_measured(two_tasks: Store) -> None:
    before = two_tasks.snapshot()

    def shorten(row: dict[str, Any]) -> None:
        row["scores"] = row["scores"][: 2 * len(row["tasks"]) // 4 * 8]  # of each task the first two

    rewrite(two_tasks, "second", shorten)
    for cell, earlier in zip(two_tasks.snapshot().cells, before.cells, strict=True):
        assert (cell.rows, cell.oracle, cell.routed) == (earlier.rows, earlier.oracle, earlier.routed)
    last = two_tasks.snapshot().cells[-1]
    assert all(getattr(last, score) is None for score in SCORES[2:])
    assert two_tasks.verify() == ()


@pytest.mark.parametrize(
    "column, data",
    [
        ("tasks", b"\1\0\0"),
        ("tasks", b"\1\0\0\0\x63\0\0\0"),
        ("rows", b"\1\0\0\0"),
        ("scores", b"\0" * 8),
        ("scores", b"\0" * 8 * 2 * (len(SCORES) + 1)),
        ("rows", "text"),
    ],
)
def test_a_row_of_results_that_cannot_be_is_damage(two_tasks: Store, column: str, data: object) -> None:
    rewrite(two_tasks, "second", lambda row: row.update({column: data}))
    with pytest.raises(StoreError, match="table 'result' cannot be read"):
        two_tasks.snapshot()
    assert [fault.subject for fault in two_tasks.verify() if fault.is_damage] == ["results"]


def test_new_results_do_not_hide_that_a_row_was_damaged(two_tasks: Store, synthetic: ModuleType) -> None:
    change(two_tasks, "UPDATE result SET rows = ? WHERE step = 'second'", b"\1\0\0\0\1\0\0\0")
    cell = Cell(step="second", task="first", rows=3)
    with pytest.raises(StoreError, match=r"'result' \(step 'second'\) is not as it was written"):
        two_tasks.commit_results(expected_generation=2, results=Results(cells=(cell,)))
    with pytest.raises(StoreError, match=r"'result' \(step 'second'\) is not as it was written"):
        synthetic.remove_task(two_tasks, "first")
    assert {fault.kind for fault in two_tasks.verify() if fault.is_damage} == {"row"}

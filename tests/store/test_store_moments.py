"""Every change that measured stays on record with what became of the test rows, whatever happens to the tasks."""

from __future__ import annotations

import contextlib
import sqlite3
from types import ModuleType

import pytest

from portfolio.errors import DamagedBlob
from portfolio.records import Cell, Moment, Results
from portfolio.store.store import Store


def measured(store: Store, task: str, data: bytes) -> Results:
    return Results(cells=(Cell(step=task, task=task, rows=1, oracle=1.0),), outcomes=store.put(data))


def test_a_change_that_measured_is_a_moment(two_tasks: Store) -> None:
    results = measured(two_tasks, "second", b"rows")
    two_tasks.commit_results(expected_generation=2, results=results)
    [moment] = two_tasks.snapshot().moments
    [*_, event] = two_tasks.events()
    assert moment == Moment(
        generation=3, at=event.at, action="measure", subject="second", step="second", outcomes=results.outcomes or ""
    )
    assert two_tasks.get(moment.outcomes) == b"rows"


def test_a_change_that_measured_no_row_is_none(two_tasks: Store) -> None:
    two_tasks.commit_results(expected_generation=2, results=Results())
    two_tasks.commit_tags(expected_generation=3, name="first", tags={"tenant": "acme"})
    assert two_tasks.snapshot().moments == ()


def test_moments_come_oldest_first_and_stay_when_their_task_goes(two_tasks: Store, synthetic: ModuleType) -> None:
    two_tasks.commit_results(expected_generation=2, results=measured(two_tasks, "second", b"then"))
    router = synthetic.router_state(two_tasks, ("first",))
    results = measured(two_tasks, "first", b"now")
    two_tasks.commit_removal(expected_generation=3, names=["second"], router=router, results=results)
    moments = two_tasks.snapshot().moments
    assert [(one.generation, one.action, one.subject, one.step) for one in moments] == [
        (3, "measure", "second", "second"),
        (4, "remove-task", "second", "first"),
    ]
    for number in range(12):  # as many changes as would delete what nothing needs
        two_tasks.commit_tags(expected_generation=4 + number, name="first", tags={"n": str(number)})
    assert [two_tasks.get(one.outcomes) for one in moments] == [b"then", b"now"]
    assert synthetic.damage_found(two_tasks) == []


def test_outcomes_that_were_not_put_are_refused_with_what_came_along(two_tasks: Store) -> None:
    before = two_tasks.snapshot()
    results = Results(cells=(Cell(step="second", task="second", rows=1),), outcomes="0" * 64)
    with pytest.raises(DamagedBlob, match="is missing"):
        two_tasks.commit_results(expected_generation=2, results=results)
    assert two_tasks.snapshot() == before


def test_lost_outcomes_are_damage(two_tasks: Store) -> None:
    results = measured(two_tasks, "second", b"rows")
    two_tasks.commit_results(expected_generation=2, results=results)
    [path] = two_tasks.path.glob(f"blobs/*/{(results.outcomes or '')[2:]}*")
    path.unlink()
    [fault] = [one for one in two_tasks.verify() if one.is_damage]
    assert fault.kind == "blob-missing"
    assert "outcomes of generation 3" in fault.message


@pytest.mark.parametrize("statement", ["UPDATE moment SET at = 'never'", "DELETE FROM moment"])
def test_a_moment_is_never_changed(two_tasks: Store, statement: str) -> None:
    two_tasks.commit_results(expected_generation=2, results=measured(two_tasks, "second", b"rows"))
    database = sqlite3.connect(two_tasks.path / "portfolio.db")
    with contextlib.closing(database) as db, pytest.raises(sqlite3.IntegrityError, match="only ever appended"):
        db.execute(statement)

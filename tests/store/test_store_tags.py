"""Tags of tasks: kept, replaced as a whole, and on record."""

from __future__ import annotations

import json
import sqlite3
from types import ModuleType

import pytest

from portfolio.actor import actor
from portfolio.errors import InvalidName, NotFound, StoreError
from portfolio.records import Results
from portfolio.store.store import Store

NOW = "2030-05-17T12:30:00+00:00"  # the clock of the fixture


def test_a_task_comes_with_its_tags_in_the_order_of_their_keys(store: Store, synthetic: ModuleType) -> None:
    task = synthetic.task_record(store, "first", tags=(("tenant", "acmé"), ("risk", "high")))
    store.commit_task(
        expected_generation=0,
        task=task,
        adapters=[synthetic.adapter_record(store, "first")],
        router=synthetic.router_state(store, ("first",)),
        results=Results(),
    )
    assert store.snapshot().tasks[0].tags == (("risk", "high"), ("tenant", "acmé"))
    assert store.verify() == ()


def test_new_tags_take_the_place_of_all_the_old(two_tasks: Store) -> None:
    before = two_tasks.snapshot()
    two_tasks.commit_tags(expected_generation=2, name="second", tags={"tenant": "acme", "risk": "high"})
    two_tasks.commit_tags(expected_generation=3, name="second", tags={"kind": "faq"})
    after = two_tasks.snapshot()
    assert [task.tags for task in after.tasks] == [(), (("kind", "faq"),)]
    assert after.generation == 4
    two_tasks.commit_tags(expected_generation=4, name="second", tags={})
    assert two_tasks.snapshot().tasks == before.tasks
    assert two_tasks.verify() == ()


def test_the_event_says_what_they_were_and_what_they_are(two_tasks: Store) -> None:
    two_tasks.commit_tags(expected_generation=2, name="first", tags={"risk": "low"})
    two_tasks.commit_tags(expected_generation=3, name="first", tags={"risk": "high"})
    event = two_tasks.events()[-1]
    assert (event.at, event.action, event.subject) == (NOW, "tagged", "first")
    assert json.loads(event.detail) == {
        "by": actor(),
        "old": {"risk": "low"},
        "new": {"risk": "high"},
        "generation": 4,
    }


def test_tags_of_a_task_that_is_not_there_are_refused(two_tasks: Store) -> None:
    with pytest.raises(NotFound, match=r"no task 'frist' .* it has: first, second"):
        two_tasks.commit_tags(expected_generation=2, name="frist", tags={"risk": "low"})
    assert two_tasks.generation() == 2


@pytest.mark.parametrize("tags", [{"task": "other"}, {"two words": "x"}, {"risk": ""}, {"risk": "a\nb"}])
def test_a_tag_that_is_not_allowed_is_refused_here_too(
    two_tasks: Store, synthetic: ModuleType, tags: dict[str, str]
) -> None:
    with pytest.raises(InvalidName):
        two_tasks.commit_tags(expected_generation=2, name="first", tags=tags)
    with pytest.raises(InvalidName):
        two_tasks.commit_task(
            expected_generation=2,
            task=synthetic.task_record(two_tasks, "third", tags=tuple(tags.items())),
            adapters=[synthetic.adapter_record(two_tasks, "third")],
            router=synthetic.router_state(two_tasks, ("first", "second", "third")),
            results=Results(),
        )
    assert two_tasks.generation() == 2


def test_new_tags_do_not_hide_that_a_row_is_damaged(two_tasks: Store) -> None:
    db = sqlite3.connect(two_tasks.path / "portfolio.db", isolation_level=None)
    db.execute("UPDATE task SET seed = 4 WHERE name = 'first'")
    db.close()
    with pytest.raises(StoreError, match=r"'task' \(name 'first'\) is not as it was written"):
        two_tasks.commit_tags(expected_generation=2, name="first", tags={"risk": "low"})
    assert [fault.kind for fault in two_tasks.verify()] == ["row", "incomplete"]  # its champion has another seed

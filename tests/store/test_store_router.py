"""A router that is calibrated again over the same tasks, and the blob of its out-of-scope examples."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from types import ModuleType

import pytest

from portfolio.actor import actor
from portfolio.errors import ConfigError, DamagedBlob, NotFound
from portfolio.records import Cell, FirstLook, Results, RouterState, RouterWishes
from portfolio.store.changes import GenerationMoved
from portfolio.store.references import KEPT_CHANGES
from portfolio.store.store import Store

NOW = "2030-05-17T12:30:00+00:00"  # the clock of the fixture


def calibrate(store: Store, oos: str | None, detail: Mapping[str, object] | None = None) -> RouterState:
    """Commit the router that is there with other out-of-scope examples."""
    snapshot = store.snapshot()
    assert snapshot.router is not None
    router = dataclasses.replace(snapshot.router, wishes=RouterWishes(oos=oos, recall=None if oos is None else 0.9))
    store.commit_router(
        expected_generation=snapshot.generation,
        router=router,
        results=Results(),
        detail={} if detail is None else detail,
    )
    return router


def test_a_new_state_and_its_results_take_the_place_of_the_old(two_tasks: Store) -> None:
    before = two_tasks.snapshot()
    assert before.router is not None
    router = dataclasses.replace(
        before.router,
        threshold=-2.0,
        wishes=RouterWishes(coverage=0.5, fallback="base", shared_labels=True),
        first_look=FirstLook(margin=0.75, in_scope=float("-inf"), temperature=1.5),
        own_share=0.25,
        ece_before=0.125,
        ece=0.0625,
        asked=0.5,
    )
    again = Cell(step="second", task="first", rows=5, routed=0.25, astray_right=0.125)
    two_tasks.commit_router(
        expected_generation=2, router=router, results=Results(cells=(again,)), detail={"coverage": [0.95, 0.5]}
    )
    after = two_tasks.snapshot()
    assert (after.router, after.tasks, after.generation) == (router, before.tasks, 3)
    assert again in after.cells and len(after.cells) == len(before.cells)
    assert two_tasks.verify() == ()
    event = two_tasks.events()[-1]
    assert (event.at, event.action, event.subject) == (NOW, "calibrated", "router")
    assert json.loads(event.detail) == {"by": actor(), "coverage": [0.95, 0.5], "generation": 3}


def test_results_of_an_unknown_task_are_refused_with_the_state_that_came_along(two_tasks: Store) -> None:
    before = two_tasks.snapshot()
    assert before.router is not None
    router = dataclasses.replace(before.router, threshold=7.0)
    with pytest.raises(NotFound, match="nobody"):
        two_tasks.commit_router(
            expected_generation=2,
            router=router,
            results=Results(cells=(Cell(step="second", task="nobody", rows=1),)),
            detail={},
        )
    assert two_tasks.snapshot() == before


def test_without_tasks_there_is_no_router_to_calibrate(store: Store, synthetic: ModuleType) -> None:
    with pytest.raises(ConfigError, match="expected no router state without tasks"):
        store.commit_router(
            expected_generation=0, router=synthetic.router_state(store, ()), results=Results(), detail={}
        )


def test_out_of_scope_examples_that_were_not_put_are_refused(two_tasks: Store) -> None:
    before = two_tasks.snapshot()
    with pytest.raises(DamagedBlob, match=r"e{62} is missing"):
        calibrate(two_tasks, "e" * 64)
    assert two_tasks.snapshot() == before


def test_out_of_scope_examples_are_needed_while_the_state_names_them(two_tasks: Store) -> None:
    digest = two_tasks.put(b"inputs of no task")
    calibrate(two_tasks, digest)
    assert two_tasks.verify() == ()
    (two_tasks.path / "blobs" / digest[:2] / digest[2:]).unlink()
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("blob-missing", True)
    assert "It is: out-of-scope examples of the router" in fault.message


@pytest.mark.parametrize("later", [b"others", None], ids=["replaced", "taken back"])
def test_superseded_out_of_scope_examples_are_deleted_some_changes_later(two_tasks: Store, later: bytes | None) -> None:
    digest = two_tasks.put(b"inputs of no task")
    calibrate(two_tasks, digest)
    calibrate(two_tasks, None if later is None else two_tasks.put(later))
    assert two_tasks.get(digest) == b"inputs of no task"
    for _ in range(KEPT_CHANGES):
        calibrate(two_tasks, None if later is None else hashlib.sha256(later).hexdigest())
    with pytest.raises(GenerationMoved):
        two_tasks.get(digest)
    assert two_tasks.verify() == ()


def test_out_of_scope_examples_that_are_wanted_again_are_kept(two_tasks: Store) -> None:
    digest = two_tasks.put(b"inputs of no task")
    for oos in (digest, None, digest):
        calibrate(two_tasks, oos)
    for number in range(KEPT_CHANGES):
        calibrate(two_tasks, digest, {"number": number})
    assert two_tasks.get(digest) == b"inputs of no task"


def test_the_sums_of_a_state_over_the_same_tasks_are_kept(two_tasks: Store) -> None:
    for _ in range(KEPT_CHANGES + 1):
        router = calibrate(two_tasks, None)
    assert two_tasks.get(router.totals)

"""What must be the same for a computed promotion to hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portfolio.portfolio import Portfolio
from portfolio.records import Alias, Snapshot
from portfolio.surroundings import surroundings


@pytest.fixture
def snapshot(portfolio: Portfolio) -> Snapshot:
    return portfolio.snapshot()


def _with_task(snapshot: Snapshot, name: str, **fields: object) -> Snapshot:
    changed = [replace(task, **fields) if task.name == name else task for task in snapshot.tasks]  # type: ignore[arg-type]
    return replace(snapshot, tasks=tuple(changed))


@pytest.mark.parametrize(
    "fields", [{"labels": ("a", "b")}, {"centroids": "0" * 64}, {"evaluation": "0" * 64}, {"disabled": "none"}]
)
def test_they_change_with_another_tasks_data_and_not_with_its_own(
    snapshot: Snapshot, fields: dict[str, object]
) -> None:
    before = surroundings(snapshot, "garden")
    assert surroundings(_with_task(snapshot, "kitchen", **fields), "garden") != before
    assert surroundings(_with_task(snapshot, "garden", **fields), "garden") == before


def test_they_change_with_another_tasks_champion_and_not_with_its_own(snapshot: Snapshot) -> None:
    others = tuple(one for one in snapshot.aliases if one.name != "garden")
    moved = replace(snapshot, aliases=(*others, Alias(name="garden", alias="champion", version=2)))
    assert surroundings(moved, "garden") == surroundings(snapshot, "garden")
    assert surroundings(moved, "kitchen") != surroundings(snapshot, "kitchen")


def test_they_change_with_the_wishes_the_order_and_the_base(snapshot: Snapshot) -> None:
    before = surroundings(snapshot, "garden")
    assert snapshot.router is not None
    wishes = replace(snapshot.router.wishes, coverage=0.5)
    others = (
        replace(snapshot, router=replace(snapshot.router, wishes=wishes)),
        replace(snapshot, tasks=snapshot.tasks[::-1]),
        replace(snapshot, tasks=snapshot.tasks[:-1]),
        replace(snapshot, contract=replace(snapshot.contract, fingerprint="other")),
        replace(snapshot, contract=replace(snapshot.contract, trunk=0)),
    )
    assert len({before, *(surroundings(other, "garden") for other in others)}) == len(others) + 1


def test_what_the_router_chose_and_tags_are_no_part_of_them(snapshot: Snapshot) -> None:
    """A promotion brings a router of its own; tags decide who may be asked, which is asked when a question comes."""
    assert snapshot.router is not None
    settled = replace(snapshot, generation=99, router=replace(snapshot.router, threshold=7.0))
    tagged = _with_task(settled, "kitchen", tags=(("tenant", "north"),))
    assert surroundings(tagged, "garden") == surroundings(snapshot, "garden")

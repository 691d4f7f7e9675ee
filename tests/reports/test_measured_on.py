"""Which test rows a task was measured on, as versions may have rows of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portfolio.records import Lineage, Source
from portfolio.reports.measured_on import NOTHING_MOVED, measured_on

EventsOf = Callable[..., Any]


def lineage(ref: str, test: str | None) -> Lineage:
    name, _, version = ref.partition("@")
    sources = [Source(split="train", path="t.csv", sha256="7" * 64, rows=9)]
    sources += [] if test is None else [Source(split="test", path="t.csv", sha256=test, rows=3)]
    return Lineage(
        name=name,
        version=int(version),
        labels=("no", "yes"),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=tuple(sources),
        seed=0,
        reading="{}",
        centroids="c",
        scatter="s",
        evaluation="e",
    )


def came(generation: int) -> tuple[str, str, dict[str, Any]]:
    return ("add-task", "a", {"adapters": {"a@1": "1"}, "generation": generation})


def move(action: str, to: int, generation: int) -> tuple[str, str, dict[str, Any]]:
    return (action, "a", {"to": f"a@{to}", "generation": generation})


def test_rows_change_when_a_version_with_others_begins_to_answer(events_of: EventsOf) -> None:
    events = events_of(came(3), move("promote", 2, 5), move("promote", 3, 7), move("rollback", 1, 9))
    found = measured_on(events, [lineage("a@1", "x"), lineage("a@2", "x"), lineage("a@3", "y")])
    assert found.moved_at == 9
    same_as_at_3 = [generation for generation in range(3, 12) if found.same("a", 3, generation)]
    assert same_as_at_3 == [3, 4, 5, 6, 9, 10, 11]
    assert found.same("a", 7, 8) and not found.same("a", 8, 9)
    assert found.same("a", 1, 3)  # what was foretold of it before it came was measured on these rows, too
    assert found.same("b", 1, 99)


def test_before_its_first_span_a_task_has_the_rows_of_that(events_of: EventsOf) -> None:
    found = measured_on(events_of(came(3), move("promote", 2, 5)), [])
    assert found.same("a", 0, 4) and not found.same("a", 0, 5)


def test_where_all_versions_have_the_same_rows_nothing_is_kept_of_the_task(events_of: EventsOf) -> None:
    found = measured_on(events_of(came(1), move("promote", 2, 2)), [lineage("a@1", "x"), lineage("a@2", "x")])
    assert (found.spans, found.moved_at) == ({}, 2)


@pytest.mark.parametrize("lineages", [[], [lineage("a@1", None), lineage("a@2", None)], [lineage("a@2", "x")]])
def test_rows_that_are_not_known_are_no_others_rows(events_of: EventsOf, lineages: list[Lineage]) -> None:
    found = measured_on(events_of(came(1), move("promote", 2, 2), move("rollback", 1, 3)), lineages)
    assert not found.same("a", 1, 2)
    assert found.same("a", 1, 3)


def test_a_task_that_came_again_begins_anew(events_of: EventsOf) -> None:
    events = events_of(came(1), move("promote", 2, 2), ("remove-task", "a", {"generation": 3}), came(4))
    assert measured_on(events, []).spans == {}


def test_without_promotions_every_row_is_the_same(events_of: EventsOf) -> None:
    assert measured_on(events_of(("init", "tiny", {}), came(1)), [lineage("a@1", "x")]) == NOTHING_MOVED

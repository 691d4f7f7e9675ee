"""What answered at a date or a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import ConfigError, NotFound
from portfolio.reports.at import Serving, Tried, at, at_to_dict, print_at

EventsOf = Callable[..., Any]
MakeScreen = Callable[..., Any]

INIT = ("init", "tiny", {})


def came(task: str, *versions: int) -> tuple[str, str, dict[str, Any]]:
    return (
        "add-task",
        task,
        {"adapters": {f"{task}@{version}": f"digest of {task}@{version}" for version in versions}},
    )


def added(task: str, version: int) -> tuple[str, str, dict[str, Any]]:
    return ("add-version", task, {"adapters": {f"{task}@{version}": f"digest of {task}@{version}"}})


def moved(action: str, task: str, old: int, new: int, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return (action, task, {"from": f"{task}@{old}", "to": f"{task}@{new}", **more})


@pytest.fixture
def story(events_of: EventsOf) -> Any:
    """1 to 8 November: banking comes, a second version is promoted, rolled back, and all of it removed."""
    return events_of(
        INIT,
        came("banking", 1),
        added("banking", 2),
        moved("promote", "banking", 1, 2, instead=None),
        came("cards", 1),
        moved("rollback", "banking", 2, 1),
        ("disable", "banking", {"instead": "cards"}),
        ("remove-task", "banking", {"adapters": {"banking@1": "1", "banking@2": "2"}}),
    )


def answered(events: Any, when: str) -> list[str]:
    return [one.adapter for one in at(events, when)]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-11-01", []),
        ("2026-11-02T09:59", []),
        ("2026-11-02T10:00", ["banking@1"]),
        ("2026-11-02T10:00+01:00", []),
        ("2026-11-03", ["banking@1"]),  # a version that was only added does not answer
        ("2026-11-04", ["banking@2"]),  # the end of that day
        ("2026-11-05", ["banking@2", "cards@1"]),
        ("2026-11-06", ["banking@1", "cards@1"]),
        ("2026-11-08", ["cards@1"]),
        ("2100-01-01", ["cards@1"]),
    ],
)
def test_who_answered_follows_the_events(story: Any, when: str, expected: list[str]) -> None:
    assert answered(story, when) == expected


def test_a_version_is_told_with_its_digest_and_the_event_from_which_on_it_answered(story: Any) -> None:
    banking, cards = at(story, "2026-11-06")
    assert banking == Serving(
        task="banking",
        adapter="banking@1",
        digest="digest of banking@1",
        since="2026-11-06T10:00:00+00:00",
        event=6,
        action="rollback",
    )
    assert (cards.since, cards.event, cards.action) == ("2026-11-05T10:00:00+00:00", 5, "add-task")


def test_a_disabled_task_is_told_with_who_answered_in_its_place(story: Any) -> None:
    assert [one.disabled for one in at(story, "2026-11-07")] == ["cards", None]


def test_of_several_versions_that_come_together_the_highest_answers(events_of: EventsOf) -> None:
    assert answered(events_of(INIT, came("a", 9, 10, 2)), "2026-12-01") == ["a@10"]


def test_a_task_that_came_disabled_answers_once_it_is_enabled(events_of: EventsOf) -> None:
    _, _, detail = came("a", 1)
    events = events_of(INIT, ("add-task", "a", {**detail, "instead": "none"}), ("enable", "a", {"instead": None}))
    assert [[one.disabled for one in at(events, day)] for day in ("2026-11-02", "2026-11-03")] == [["none"], [None]]


def test_a_promotion_enables_and_a_rollback_leaves_that_as_it_is(events_of: EventsOf) -> None:
    off = ("disable", "a", {"instead": "base"})
    promoted, back = moved("promote", "a", 1, 2, instead=None), moved("rollback", "a", 2, 1)
    events = events_of(INIT, came("a", 1), off, promoted, off, back)
    assert [at(events, f"2026-11-0{day}")[0].disabled for day in (3, 4, 5, 6)] == ["base", None, "base", "base"]


@pytest.mark.parametrize("end", [("end-traffic", "a", {}), moved("promote", "a", 1, 2), moved("rollback", "a", 2, 1)])
def test_a_challenger_is_tried_until_that_ends_or_another_version_answers(events_of: EventsOf, end: Any) -> None:
    events = events_of(INIT, came("a", 1), ("canary", "a", {"ref": "a@2", "share": 0.1}), end)
    assert at(events, "2026-11-03")[0].tried == Tried(adapter="a@2", mode="canary", share=0.1)
    assert at(events, "2026-11-04")[0].tried is None


def test_a_task_that_came_again_is_another_one(events_of: EventsOf) -> None:
    off = ("disable", "a", {"instead": "none"})
    events = events_of(INIT, came("a", 1), came("b", 1), off, ("remove-task", "a", {}), came("a", 1))
    assert [(one.task, one.event, one.disabled) for one in at(events, "2026-12-01")] == [("b", 3, None), ("a", 6, None)]


def test_events_of_the_first_versions_of_this_package_are_understood(events_of: EventsOf) -> None:
    events = events_of(INIT, ("add-task", "a", {"adapter": "a@1", "digest": "d" * 64, "generation": 1}))
    assert [(one.adapter, one.digest) for one in at(events, "2026-11-02")] == [("a@1", "d" * 64)]


def test_other_things_of_the_same_name_change_nothing(events_of: EventsOf) -> None:
    others = [("calibrated", "router", {}), ("add-suite", "router", {"digest": "1"}), ("tagged", "router", {"new": {}})]
    events = events_of(INIT, came("router", 1), *others)
    assert at(events, "2026-12-01") == at(events, "2026-11-02")


def test_with_a_clock_that_went_back_the_last_event_by_number_that_is_not_later_decides(events_of: EventsOf) -> None:
    times = ["2026-11-01T10:00:00+00:00", "2026-11-09T10:00:00+00:00", "2026-11-05T10:00:00+00:00"]
    events = events_of(INIT, came("a", 1), moved("promote", "a", 1, 2), times=times)
    assert answered(events, "2026-11-04") == []
    assert answered(events, "2026-11-05") == ["a@2"]  # after the third event, which the second came before
    assert answered(events, "2026-11-09") == ["a@2"]


def test_before_the_portfolio_began_there_is_nothing_to_tell(story: Any) -> None:
    with pytest.raises(NotFound, match="got 2026-10-31; it began at 2026-11-01 10:00 UTC"):
        at(story, "2026-10-31")
    with pytest.raises(NotFound, match="nothing is on record"):
        at([], "2026-10-31")


def test_what_is_no_date_is_refused(story: Any) -> None:
    with pytest.raises(ConfigError, match="got 'yesterday'"):
        at(story, "yesterday")


def test_json_tells_all_of_it(story: Any) -> None:
    told = json.loads(json.dumps(at_to_dict(at(story, "2026-11-07")), allow_nan=False))["tasks"]
    assert [(one["task"], one["adapter"], one["disabled"]) for one in told] == [
        ("banking", "banking@1", "cards"),
        ("cards", "cards@1", None),
    ]


def test_on_a_terminal_each_task_has_a_line(story: Any, screen: MakeScreen) -> None:
    shown = screen()
    print_at(at(story, "2026-11-07"), shown.console)
    assert [line.split() for line in shown.lines()[2:4]] == [
        ["banking", "1", "2026-11-06", "10:00", "UTC", "rolled", "back", "digest", "of", "ba"],
        ["cards", "1", "2026-11-05", "10:00", "UTC", "came", "digest", "of", "ca"],
    ]
    assert shown.lines()[4:] == ["banking was disabled: cards answered in its place."]


def test_long_names_stay_within_80_columns_with_their_versions(events_of: EventsOf, screen: MakeScreen) -> None:
    shown, name = screen(), "n" * 128
    print_at(
        at(events_of(INIT, came(name, 123), ("shadow", name, {"ref": f"{name}@124", "share": 1})), "2026-12-01"),
        shown.console,
    )
    assert max(map(len, shown.text().splitlines())) <= 80
    assert " 123 " in shown.text() and "answered silently 100 %" in " ".join(shown.lines())


def test_without_a_task_that_is_said(story: Any, screen: MakeScreen) -> None:
    shown = screen()
    print_at(at(story, "2026-11-01"), shown.console)
    assert shown.lines() == ["There was no task then."]


@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["come", "go", "move"])), max_size=12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_story_ends_as_a_plain_book_keeper_has_it(events_of: EventsOf, steps: list[tuple[str, str]]) -> None:
    """Versions come, are promoted one after the other, and go."""
    book: dict[str, int] = {}
    events: list[tuple[str, str, dict[str, Any]]] = [INIT]
    for task, step in steps:
        if step == "come" and task not in book:
            book[task] = 1
            events.append(came(task, 1))
        elif step == "go" and task in book:
            del book[task]
            events.append(("remove-task", task, {}))
        elif step == "move" and task in book:
            book[task] += 1
            events += [added(task, book[task]), moved("promote", task, book[task] - 1, book[task])]
    assert answered(events_of(*events), "2027-12-31") == [f"{task}@{version}" for task, version in book.items()]

"""What was done to a portfolio: who, when, why, from what to what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.errors import NotFound
from portfolio.reports.history import history, history_to_dict, print_history

EventsOf = Callable[..., Any]
MakeScreen = Callable[..., Any]

CAME = ("add-task", "banking", {"adapters": {"banking@1": "1" * 64}, "generation": 1})
ADDED = ("add-version", "banking", {"by": "ana", "why": "", "adapters": {"banking@2": "2" * 64}, "generation": 2})
JUDGED = (
    "gate",
    "banking",
    {"by": "ana", "why": "", "ref": "banking@2", "outcome": "PASS", "verdict": "e" * 64, "generation": 3},
)
PROMOTED = (
    "promote",
    "banking",
    {
        "by": "ana",
        "why": "new limits",
        "alias": "champion",
        "from": "banking@1",
        "to": "banking@2",
        "outcome": "PASS",
        "verdict": "e" * 64,
        "generation": 4,
    },
)
ROLLED_BACK = (
    "rollback",
    "banking",
    {"by": "bo", "why": "wrong limits", "alias": "champion", "from": "banking@2", "to": "banking@1", "generation": 5},
)
STORY = (CAME, ADDED, JUDGED, PROMOTED, ROLLED_BACK)


def test_a_promotion_is_told_with_who_when_why_from_to_and_its_verdict(events_of: EventsOf) -> None:
    line = history(events_of(*STORY))[3]
    assert (line.number, line.at, line.by, line.why) == (4, "2026-11-04T10:00:00+00:00", "ana", "new limits")
    assert (line.old, line.new, line.alias) == ("banking@1", "banking@2", "champion")
    assert (line.outcome, line.verdict, line.forced, line.generation) == ("PASS", "e" * 64, None, 4)
    assert line.what == "banking@2 was promoted in the place of banking@1"


def test_what_earlier_versions_did_not_record_is_not_made_up(events_of: EventsOf, screen: MakeScreen) -> None:
    first = ("add-task", "cards", {"adapter": "cards@1", "digest": "3" * 64, "generation": 1})
    [line] = history(events_of(first))
    assert (line.by, line.why, line.what) == (None, None, "cards came, with cards@1")
    shown = screen()
    print_history([line], shown.console)
    assert shown.lines() == [
        "1  2026-11-01 10:00 UTC: cards came, with cards@1",
        "   who and why: not recorded; generation 1",
    ]


def test_each_event_takes_two_lines(events_of: EventsOf, screen: MakeScreen) -> None:
    shown = screen(width=200)
    print_history(history(events_of(*STORY)), shown.console)
    assert shown.lines()[6:] == [
        "4  2026-11-04 10:00 UTC: banking@2 was promoted in the place of banking@1",
        "   by ana: new limits; verdict PASS eeeeeeeeeeee; generation 4",
        "5  2026-11-05 10:00 UTC: banking was rolled back from banking@2 to banking@1",
        "   by bo: wrong limits; generation 5",
    ]


def test_the_order_is_by_number_and_a_clock_that_went_back_is_said(events_of: EventsOf, screen: MakeScreen) -> None:
    times = ["2026-11-03T10:00:00+00:00", "2026-11-01T10:00:00+00:00", "2026-11-02T10:00:00Z"]
    lines = history(events_of(*STORY[:3], times=times))
    assert [(line.number, line.went_back) for line in lines] == [(1, False), (2, True), (3, False)]
    shown = screen()
    print_history(lines, shown.console)
    assert shown.lines()[2] == "2  2026-11-01 10:00 UTC, the clock went back: banking@2 was added"


def test_times_are_compared_as_times_whatever_their_zone(events_of: EventsOf) -> None:
    lines = history(events_of(CAME, ADDED, times=["2026-11-01T12:00:00+02:00", "2026-11-01T11:00:00+00:00"]))
    assert not lines[1].went_back


@pytest.mark.parametrize("action", ["init", "measure", "calibrated", "add-suite", "remove-suite"])
def test_the_history_of_a_task_holds_nothing_else_that_is_called_so(events_of: EventsOf, action: str) -> None:
    others = (action, "banking", {"generation": 9}), ("add-task", "cards", {"adapters": {"cards@1": "4"}})
    lines = history(events_of(CAME, *others, ("remove-task", "banking", {"generation": 10})), "banking")
    assert [(line.number, line.what) for line in lines] == [(1, "banking came, with banking@1"), (4, "banking went")]


def test_a_name_that_never_was_is_refused_with_those_that_were(events_of: EventsOf) -> None:
    with pytest.raises(NotFound, match="got 'travel'; there are and were: banking$"):
        history(events_of(("init", "travel", {}), CAME, ("remove-task", "banking", {})), "travel")
    with pytest.raises(NotFound, match="there are and were: none"):
        history(events_of(("init", "tiny", {})), "travel")


@pytest.mark.parametrize(
    ("action", "detail", "words"),
    [
        ("init", {}, "the portfolio began, on base x"),
        ("add-task", {"adapters": {"x@1": "1"}, "instead": "none"}, "x came, with x@1, disabled"),
        ("promote", {"from": None, "to": "x@1"}, "x@1 was promoted"),
        ("alias", {"alias": "beta", "from": None, "to": "x@2"}, "x@beta names x@2"),
        ("alias", {"alias": "beta", "from": "x@1", "to": "x@2"}, "x@beta names x@2 in the place of x@1"),
        ("alias", {"alias": "beta", "from": "x@1", "to": None}, "x@beta, which named x@1, was taken away"),
        ("disable", {"instead": "none"}, "x was disabled; nobody answers in its place"),
        ("disable", {"instead": "base"}, "x was disabled; the bare base answers in its place"),
        ("disable", {"instead": "cards"}, "x was disabled; cards answers in its place"),
        ("enable", {"instead": None}, "x answers again"),
        ("deprecate", {"ref": "x@1", "deprecated": True}, "x@1 was deprecated"),
        ("deprecate", {"ref": "x@1", "deprecated": False}, "x@1 is no longer deprecated"),
        ("canary", {"ref": "x@3", "share": 0.1}, "x@3 answers 10.0 % of what goes to x, as a canary"),
        ("shadow", {"ref": "x@3", "share": 1}, "x@3 answers silently beside the champion, 100 % of what goes there"),
        ("end-traffic", {}, "no challenger of x is tried any more"),
        ("tagged", {"old": {}, "new": {"risk": "high", "tenant": "acme"}}, "x has the tags risk = high, tenant = acme"),
        ("tagged", {"old": {"risk": "high"}, "new": {}}, "x has no tags any more"),
        ("add-suite", {"digest": "1"}, "suite x came"),
        ("remove-suite", {"digest": None}, "suite x went"),
        ("calibrated", {}, "the router was calibrated"),
        ("measure", {"cells": 3}, "all tasks were measured again"),
        ("painted", {}, "painted of x"),  # by a later version of this package
    ],
)
def test_every_action_has_its_words(events_of: EventsOf, action: str, detail: dict[str, Any], words: str) -> None:
    assert [line.what for line in history(events_of((action, "x", detail)))] == [words]


def test_json_tells_all_of_it_strictly(events_of: EventsOf) -> None:
    forced = {"by": "ana", "why": "", "from": "a@1", "to": "a@2", "alias": "champion", "forced": "now", "generation": 2}
    lines = history(events_of(("promote", "a", forced)))
    [told] = json.loads(json.dumps(history_to_dict(lines), allow_nan=False))["history"]
    assert told == {
        "number": 1,
        "at": "2026-11-01T10:00:00+00:00",
        "went_back": False,
        "action": "promote",
        "subject": "a",
        "what": "a@2 was promoted in the place of a@1",
        "outcome": None,
        "verdict": None,
        **forced,
    }


def test_long_reasons_and_strange_characters_stay_within_80_columns(events_of: EventsOf, screen: MakeScreen) -> None:
    detail = {"by": "ana", "why": "because " * 40 + "\x1b[2J[bold]", "ref": "n" * 128 + "@1", "outcome": "BLOCK"}
    shown = screen(encoding="ascii")
    print_history(history(events_of(("gate", "n" * 128, detail))), shown.console)
    assert max(map(len, shown.text().splitlines())) <= 80
    assert "\\x1b[2J[bold]" in "".join(shown.lines()).replace(" ", "") and "\x1b" not in shown.text()


def test_without_events_nothing_is_printed(screen: MakeScreen) -> None:
    shown = screen()
    print_history(history([]), shown.console)
    assert shown.text() == ""

"""What answered at a date or a time: for every task that was there then, which version, since when, and by which event.

All of it follows from the events, which are only ever added to: so it is known of tasks that were removed since, and of
portfolios that were begun before there were gates and promotions. A date alone means its end, in UTC. Where a clock went
backwards, the state is that after the last event, by number, whose time is not later than the one asked for: events that
were written before it count whatever their times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from portfolio.errors import NotFound
from portfolio.reports.events import Event, StoredEvent, read_events, version_of
from portfolio.reports.history import stand_in
from portfolio.reports.tables import figures_table, print_table
from portfolio.reports.times import end_of, instant
from portfolio.reports.wording import NOTHING, digits, moment, percent, plain

_WORDS = {"add-task": "came", "promote": "promoted", "rollback": "rolled back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A challenger that was tried beside the champion."""

    adapter: str  # `name@version`
    mode: str  # `canary` or `shadow`
    share: float  # in (0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Who answered for one task."""

    task: str
    adapter: str  # `name@version`: its champion
    digest: str | None  # of that version; None where no event tells
    since: str  # when that version began to answer: ISO 8601, UTC
    event: int  # by which event: its number in the history
    action: str  # `add-task`, `promote` or `rollback`
    disabled: str | None = None  # who answered in its place: a task, `base` or `none`; None: the version itself
    tried: Tried | None = None


def at(events: Iterable[StoredEvent], when: str) -> tuple[Serving, ...]:
    """The tasks there were, in the order in which they had been added.

    Args:
        when: a date or a time, as in ISO 8601.

    Raises:
        ConfigError: it is neither.
        NotFound: there was no portfolio yet; the message says since when there is.
    """
    end, everything = end_of(when), read_events(events)
    last = max((event.number for event in everything if instant(event.at) <= end), default=0)
    if not last:
        began = f"it began at {moment(everything[0].at)}" if everything else "nothing is on record"
        raise NotFound(f"expected a time at which this portfolio was there, got {when}; {began}")
    return _fold(everything[:last])


def _fold(events: Sequence[Event]) -> tuple[Serving, ...]:
    """The state after these events."""
    serving: dict[str, Serving] = {}
    digests: dict[str, str] = {}
    for event in events:
        task, champion = event.subject, event.champion()
        digests.update(event.adapters())
        if event.action == "remove-task":
            serving.pop(task, None)
        if champion is not None:
            serving[task] = _answers(event, champion, digests.get(champion), serving.get(task))
        if task in serving:
            serving[task] = _beside(event, serving[task])
    return tuple(serving.values())


def _answers(event: Event, champion: str, digest: str | None, before: Serving | None) -> Serving:
    """What another version than before answers from this event on; nobody is tried beside it yet."""
    return Serving(
        task=event.subject,
        adapter=champion,
        digest=digest,
        since=event.at,
        event=event.number,
        action=event.action,
        disabled=None if before is None else before.disabled,
    )


def _beside(event: Event, now: Serving) -> Serving:
    """The same after an event that says who answers in its place, or is tried beside it."""
    if "instead" in event.detail:
        now = dataclasses.replace(now, disabled=event.detail["instead"])
    if event.action in ("canary", "shadow"):
        tried = Tried(adapter=event.detail["ref"], mode=event.action, share=event.detail["share"])
        return dataclasses.replace(now, tried=tried)
    return dataclasses.replace(now, tried=None) if event.action == "end-traffic" else now


def at_to_dict(serving: Sequence[Serving]) -> dict[str, Any]:
    """As one JSON object."""
    return {"tasks": [dataclasses.asdict(one) for one in serving]}


def print_at(serving: Sequence[Serving], console: Console) -> None:
    """Write a line a task, then who was disabled or tried; 80 columns are enough."""
    if not serving:
        console.print(Text("There was no task then."))
        return
    headers = ["task", "version", "since", "by", "sha256"]
    rows: list[list[str | Text]] = [
        [
            one.task,
            str(version_of(one.adapter)),
            moment(one.since),
            _WORDS[one.action],
            NOTHING if one.digest is None else digits(one.digest),
        ]
        for one in serving
    ]
    print_table(figures_table(headers, rows, console), console)
    for one in serving:
        for sentence in _sentences(one):
            console.print(Text(plain(sentence, console), overflow="fold"))


def _sentences(one: Serving) -> list[str]:
    told = []
    if one.disabled is not None:
        told.append(f"{one.task} was disabled: {stand_in(one.disabled)} answered in its place.")
    if one.tried is not None:
        how = "answered" if one.tried.mode == "canary" else "answered silently"
        told.append(f"{one.tried.adapter} {how} {percent(one.tried.share)} % of what went to {one.task}.")
    return told

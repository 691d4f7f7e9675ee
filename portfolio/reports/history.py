"""What was done to a portfolio, or to one of its tasks: who, when, what, why, from which version to which, on which verdict.

It is read from the events, which are only ever added to. The order is that in which they were written: by number, never by
time, as a clock may go backwards; a line whose time lies before that of the line above says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from portfolio.errors import NotFound
from portfolio.records import BARE_BASE, NOBODY
from portfolio.reports.events import Event, StoredEvent, read_events
from portfolio.reports.times import instant
from portfolio.reports.wording import digits, moment, percent, plain

NOT_RECORDED = "not recorded"
_OF_NO_TASK = ("init", "measure", "calibrated", "add-suite", "remove-suite")  # whose subject may be called like a task


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One event. None stands for what it does not tell."""

    number: int  # of the event, from 1
    at: str  # ISO 8601, UTC
    went_back: bool  # whether the time lies before that of the line above
    by: str | None  # who did it; None where that was not recorded
    action: str
    subject: str
    what: str  # in words
    why: str | None  # empty where nobody gave a reason
    old: str | None  # `name@version`: what the alias named before
    new: str | None
    alias: str | None
    outcome: str | None  # of the verdict
    verdict: str | None  # digest
    forced: str | None  # why a version was promoted without a PASS
    generation: int | None  # of the portfolio, after it


def history(events: Iterable[StoredEvent], name: str | None = None) -> tuple[HistoryLine, ...]:
    """All events in their order, or those of one task, also of one that was removed.

    Raises:
        NotFound: there never was a task of that name.
    """
    found = read_events(events)
    if name is not None:
        of_tasks = [event for event in found if event.action not in _OF_NO_TASK]
        found = [event for event in of_tasks if event.subject == name]
        if not found:
            names = ", ".join(dict.fromkeys(event.subject for event in of_tasks)) or "none"
            raise NotFound(f"expected a task that is or was here, got {name!r}; there are and were: {names}")
    above = [None, *found]
    return tuple(_line(event, before) for event, before in zip(found, above, strict=False))


def _line(event: Event, above: Event | None) -> HistoryLine:
    detail = event.detail
    return HistoryLine(
        number=event.number,
        at=event.at,
        went_back=above is not None and instant(event.at) < instant(above.at),
        by=detail.get("by"),
        action=event.action,
        subject=event.subject,
        what=_in_words(event),
        why=detail.get("why"),
        old=detail.get("from"),
        new=detail.get("to"),
        alias=detail.get("alias"),
        outcome=detail.get("outcome"),
        verdict=detail.get("verdict"),
        forced=detail.get("forced"),
        generation=event.generation,
    )


def history_to_dict(lines: Sequence[HistoryLine]) -> dict[str, Any]:
    """As one JSON object, strictly; null for what was not recorded."""
    keys = {"old": "from", "new": "to"}
    return {
        "history": [{keys.get(key, key): value for key, value in dataclasses.asdict(line).items()} for line in lines]
    }


def print_history(lines: Sequence[HistoryLine], console: Console) -> None:
    """Write two lines an event: what happened and when; by whom, why, and on which verdict. 80 columns are enough."""
    width = len(str(lines[-1].number)) if lines else 0
    for line in lines:
        when = moment(line.at) + (", the clock went back" if line.went_back else "")
        console.print(Text(plain(f"{line.number:>{width}}  {when}: {line.what}", console), overflow="fold"))
        details = Text(plain(_details(line), console), style="dim", overflow="fold")
        console.print(Padding(details, (0, 0, 0, width + 2), expand=False))


def _details(line: HistoryLine) -> str:
    """`by ana: it misbehaved; verdict PASS 0123456789ab; generation 12`"""
    who = f"who and why: {NOT_RECORDED}" if line.by is None else f"by {line.by}"
    parts = [f"{who}: {line.why}" if line.why else who]
    if line.outcome is not None:
        parts.append(f"verdict {line.outcome}" + (f" {digits(line.verdict)}" if line.verdict else ""))
    if line.forced is not None:
        parts.append(f"forced: {line.forced}")
    if line.generation is not None:
        parts.append(f"generation {line.generation}")
    return "; ".join(parts)


def _in_words(event: Event) -> str:
    """What happened, as a sentence without its full stop."""
    subject, detail = event.subject, event.detail
    if event.action in ("promote", "rollback"):
        return _moved(event)
    if event.action == "alias":
        return _pointed(event)
    if event.action == "tagged":
        tags = ", ".join(f"{key} = {value}" for key, value in detail["new"].items())
        return f"{subject} has the tags {tags}" if tags else f"{subject} has no tags any more"
    ref, versions = detail.get("ref", subject), ", ".join(event.adapters()) or subject
    told = {
        "init": f"the portfolio began, on base {subject}",
        "add-task": f"{subject} came, with {versions}" + (", disabled" if detail.get("instead") else ""),
        "remove-task": f"{subject} went",
        "add-version": f"{versions} was added",
        "gate": f"{ref} was judged: {detail.get('outcome')}",
        "disable": f"{subject} was disabled; {stand_in(detail.get('instead'))} answers in its place",
        "enable": f"{subject} answers again",
        "deprecate": f"{ref} {'was deprecated' if detail.get('deprecated') else 'is no longer deprecated'}",
        "canary": f"{ref} answers {percent(detail.get('share'))} % of what goes to {subject}, as a canary",
        "shadow": f"{ref} answers silently beside the champion, {percent(detail.get('share'))} % of what goes there",
        "end-traffic": f"no challenger of {subject} is tried any more",
        "add-suite": f"suite {subject} came",
        "remove-suite": f"suite {subject} went",
        "calibrated": "the router was calibrated",
        "measure": "all tasks were measured again",
    }
    return told.get(event.action, f"{event.action} of {subject}")


def _moved(event: Event) -> str:
    old, new = event.detail.get("from"), event.detail["to"]
    if event.action == "rollback":
        return f"{event.subject} was rolled back" + (f" from {old}" if old else "") + f" to {new}"
    return f"{new} was promoted" + (f" in the place of {old}" if old else "")


def _pointed(event: Event) -> str:
    old, new = event.detail.get("from"), event.detail.get("to")
    alias = f"{event.subject}@{event.detail.get('alias')}"
    if new is None:
        return f"{alias}, which named {old}, was taken away"
    return f"{alias} names {new}" + (f" in the place of {old}" if old else "")


def stand_in(who: str | None) -> str:
    """Who answers for a disabled task, in words."""
    return {BARE_BASE: "the bare base", NOBODY: "nobody", None: "nobody"}.get(who, str(who))

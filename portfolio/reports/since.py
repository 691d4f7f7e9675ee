"""Two moments of a portfolio side by side: what changed for every task when an adapter, a fusion or a setting came.

A moment is named by what came after it, or by its date:

    banking               just before the task came, when it last did
    banking@2             just before that version last began to answer: came with its task, was promoted, or was rolled
                          back to; of one that never answered, just before it was added
    2026-11-22            as the day began, UTC: what happened on that day is part of what changed since
    2026-11-22T14:00      at that time, UTC where no zone is given
    now                   the last change
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from portfolio.errors import ConfigError, NotFound, require
from portfolio.outcomes import Outcomes
from portfolio.records import Moment, Snapshot
from portfolio.reports.added import Load
from portfolio.reports.changes import both_times, change_of_rows, oracle_pair, routed_pair, same_rows
from portfolio.reports.events import StoredEvent, read_events
from portfolio.reports.findings import Since
from portfolio.reports.losses import loss_of
from portfolio.reports.measured_on import NOTHING_MOVED, MeasuredOn
from portfolio.reports.times import instant, is_date, is_time
from portfolio.reports.wording import moment as written

NOW = "now"
WITHOUT_RULES, UNDER_RULES = "without rules", "under rules"  # actions of no change, but of a request
ROUTES = "routes.toml"


def find_moment(snapshot: Snapshot, where: str, events: Iterable[StoredEvent] = ()) -> Moment:
    """The moment that `where` names; a task's name goes before a date.

    Args:
        events: of the portfolio; they tell when a version began to answer.

    Raises:
        ConfigError: nothing was kept from before that, or it is a date that cannot be.
        NotFound: there is no such task or version; the message names the tasks and the dates there are.
    """
    moments = snapshot.moments
    if not moments:
        raise NotFound(
            "expected changes whose test rows were kept, but there is none yet; to keep the rows as they are answered now, "
            "type: portfolio evaluate"
        )
    if where == NOW:
        return moments[-1]
    came = {moment.subject: index for index, moment in enumerate(moments) if moment.action == "add-task"}
    generation = _began(snapshot, where, events)
    if generation is not None:
        return _last([one for one in moments if one.generation < generation], f"before {where} answered", moments)
    task = _task_of(snapshot, where, came)
    if task is not None:
        return _last(moments[: came.get(task, 0)], f"before {task} came", moments)
    if is_date(where):
        day = instant(where)
        return _last([one for one in moments if instant(one.at) < day], f"before {where}", moments)
    if is_time(where):
        time = instant(where)
        return _last([one for one in moments if instant(one.at) <= time], f"until {where}", moments)
    names = ", ".join(dict.fromkeys([*(one.name for one in snapshot.tasks), *came]))
    raise NotFound(
        f"expected a task, a version of an adapter, a date such as 2026-11-22 or 2026-11-22T14:00, or {NOW}, "
        f"got {where!r}; the tasks: {names or 'none'}; the dates: {_span(moments)}"
    )


def since(snapshot: Snapshot, load: Load, before: Moment, after: Moment, measured: MeasuredOn = NOTHING_MOVED) -> Since:
    """What changed from one moment to the other, for every task known at both.

    Args:
        measured: on which test rows, as versions differ in these.

    Raises:
        ConfigError: the first is later than the second.
    """
    require(
        before.generation <= after.generation,
        f"expected the earlier moment first, got {written(before.at)} and then {written(after.at)}; swap them",
    )
    then, now = load(before.outcomes), load(after.outcomes)
    stayed = [name for name in now.names if name in then.names and same_rows(name, snapshot.moments, before, after)]
    between = tuple(one for one in snapshot.moments if before.generation < one.generation <= after.generation)
    other_rows = [name for name in stayed if not measured.same(name, before.generation, after.generation)]
    return side_by_side(before, after, then, now, stayed, between, other_rows)


def under_rules(generation: int, at: str, step: str, freely: Outcomes, permitted: Outcomes) -> Since:
    """What rules change for a request: the same rows where the router may choose among all tasks, and among those permitted."""
    before, after = (
        Moment(generation=generation, at=at, action=action, subject=ROUTES, step=step, outcomes="")
        for action in (WITHOUT_RULES, UNDER_RULES)
    )
    return side_by_side(before, after, freely, permitted, freely.names, ())


def side_by_side(
    before: Moment,
    after: Moment,
    then: Outcomes,
    now: Outcomes,
    stayed: Sequence[str],
    between: tuple[Moment, ...],
    other_rows: Sequence[str] = (),
) -> Since:
    """The tasks that stayed, each on the same rows.

    Args:
        other_rows: those that stayed and are known to have had other rows; another number of rows tells as much.
    """
    comparable = [name for name in stayed if name not in other_rows]
    pairs = {name: both for name in comparable if (both := both_times(name, then, now)) is not None}
    routed = tuple(change_of_rows(name, routed_pair(both)) for name, both in pairs.items())
    losses = [loss_of(pairs[change.task], now, change) for change in routed if (change.change or 0.0) < 0]
    return Since(
        before=before,
        after=after,
        between=between,
        oracle=tuple(change_of_rows(name, oracle_pair(both)) for name, both in pairs.items()),
        routed=routed,
        came=tuple(name for name in now.names if name not in stayed),
        went=tuple(name for name in then.names if name not in stayed),
        other_rows=tuple(name for name in stayed if name in other_rows or _differ(name, then, now)),
        losses=tuple(sorted(losses, key=lambda loss: loss.change)),
    )


def since_to_dict(found: Since) -> dict[str, Any]:
    """As one JSON object, strictly: null where a score or an interval is not known."""
    return dataclasses.asdict(found)


def _task_of(snapshot: Snapshot, where: str, came: Collection[str]) -> str | None:
    """The task that is called so, or whose adapter is; also one that is gone, whose versions are not known any more."""
    here = [task.name for task in snapshot.tasks]
    if where in here or where in came:
        return where
    name, _, version = where.partition("@")
    if name in came and name not in here and version.isdecimal():
        return name
    return next((adapter.task for adapter in snapshot.adapters if str(adapter.ref) == where), None)


def _differ(task: str, then: Outcomes, now: Outcomes) -> bool:
    """Whether it was measured at both, on different numbers of rows."""
    before, after = then.of(task), now.of(task)
    return before is not None and after is not None and len(before.right) != len(after.right)


def _began(snapshot: Snapshot, where: str, events: Iterable[StoredEvent]) -> int | None:
    """The generation of the change by which that version last began to answer, or else was added; None of anything else."""
    aliases = {f"{alias.name}@{alias.alias}": str(alias.ref) for alias in snapshot.aliases}
    ref, everything = aliases.get(where, where), read_events(events) if "@" in where else []
    answered = [event.generation for event in everything if event.champion() == ref]
    added = [event.generation for event in everything if event.action == "add-version" and ref in event.adapters()]
    return (answered or added or [None])[-1]


def _last(moments: Sequence[Moment], when: str, everything: Sequence[Moment]) -> Moment:
    if not moments:
        raise ConfigError(
            f"expected a moment with a change before it, but no test rows were kept from {when}; "
            f"they were kept {_span(everything)}"
        )
    return moments[-1]


def _span(moments: Sequence[Moment]) -> str:
    return f"from {written(moments[0].at)} to {written(moments[-1].at)}"

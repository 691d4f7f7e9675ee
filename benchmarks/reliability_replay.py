"""The state that a portfolio's events add up to, to be compared with the state that it is in.

If each change read what the one before it left, then each event goes on from where the last one ended, and all of them
together give what a snapshot says. A lost update shows as an event that begins elsewhere, or as another state in the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portfolio.records import Snapshot
from portfolio.store.rows import Event


@dataclass(slots=True, kw_only=True)
class Task:
    """What the events say of one task."""

    versions: set[str]  # `name@version`
    aliases: dict[str, str]  # alias to `name@version`
    instead: str | None = None
    deprecated: set[str] = field(default_factory=set)
    tried: str | None = None


@dataclass(slots=True, kw_only=True)
class Replay:
    """The state so far, and what did not fit it."""

    tasks: dict[str, Task] = field(default_factory=dict)
    suites: dict[str, str] = field(default_factory=dict)
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def follow(self, event: Event, number: int) -> None:
        """Go on by one event."""
        detail = json.loads(event.detail)
        if detail.get("generation", 0) != number:
            self.faults.append(f"event {number} is of generation {detail.get('generation')}")
        if event.action == "add-task":
            if event.subject in self.tasks:
                self.faults.append(f"event {number} adds {event.subject}, which is there")
            versions = set(detail["adapters"])
            self.tasks[event.subject] = Task(versions=versions, aliases={"champion": max(versions)})
        elif event.action in ("add-suite", "remove-suite"):
            self._suite(event.action, event.subject, detail, number)
        elif event.action != "init":
            task = self.tasks.get(event.subject)
            if task is None:
                self.faults.append(f"event {number} ({event.action}) is about {event.subject}, which is not there")
            else:
                self._task(task, event.action, event.subject, detail, number)

    def _suite(self, action: str, name: str, detail: Mapping[str, Any], number: int) -> None:
        if action == "add-suite":
            self.suites[name] = detail["digest"]
        elif self.suites.pop(name, None) is None:
            self.faults.append(f"event {number} removes suite {name}, which is not there")

    def _task(self, task: Task, action: str, name: str, detail: Mapping[str, Any], number: int) -> None:
        if action in ("promote", "rollback", "alias"):
            self._alias(task, action, detail, number)
        elif action == "remove-task":
            if set(detail["adapters"]) != task.versions:
                self.faults.append(f"event {number} removes {sorted(detail['adapters'])}, not {sorted(task.versions)}")
            del self.tasks[name]
        elif action == "add-version":
            if task.versions & set(detail["adapters"]):
                self.faults.append(f"event {number} adds {sorted(detail['adapters'])}, which is there")
            task.versions |= set(detail["adapters"])
        elif action == "gate":
            self.verdicts.append((detail["ref"], detail["verdict"]))
            if task.aliases["champion"] != detail["ref"]:
                task.aliases["challenger"] = detail["ref"]
        elif action in ("disable", "enable"):
            task.instead = detail["instead"]
        elif action == "deprecate":
            (task.deprecated.add if detail["deprecated"] else task.deprecated.discard)(detail["ref"])
        elif action in ("canary", "end-traffic"):
            task.tried = detail.get("ref")
        else:
            self.faults.append(f"event {number} is {action!r}, which nobody did")

    def _alias(self, task: Task, action: str, detail: Mapping[str, Any], number: int) -> None:
        alias, before, after = detail["alias"], detail["from"], detail["to"]
        if task.aliases.get(alias) != before:
            self.faults.append(f"event {number} moves {alias} from {before}, but it was at {task.aliases.get(alias)}")
        task.aliases.pop(alias, None)
        if after is not None:
            task.aliases[alias] = after
            if after not in task.versions:
                self.faults.append(f"event {number} moves {alias} to {after}, which is not there")
        if action != "alias":
            task.aliases["previous"] = before
            task.tried = None
            if task.aliases.get("challenger") == after:
                del task.aliases["challenger"]


def replay(events: Iterable[Event]) -> Replay:
    """All of them, the first of which is that of `init`."""
    replayed = Replay()
    for number, event in enumerate(events):
        replayed.follow(event, number)
    return replayed


def differences(
    replayed: Replay, snapshot: Snapshot, suites: Mapping[str, str], verdicts: Iterable[tuple[str, str]]
) -> list[str]:
    """What the events and the state say differently.

    Args:
        suites: by name, the digest.
        verdicts: `name@version` and digest, oldest first.
    """
    found = list(replayed.faults)
    state = {
        task.name: Task(
            versions={str(one.ref) for one in snapshot.adapters if one.name == task.name},
            aliases={one.alias: str(one.ref) for one in snapshot.aliases if one.name == task.name},
            instead=task.disabled,
            deprecated={str(one.ref) for one in snapshot.adapters if one.name == task.name and one.deprecated},
            tried=next((f"{one.name}@{one.version}" for one in snapshot.traffic if one.name == task.name), None),
        )
        for task in snapshot.tasks
    }
    if list(state) != list(replayed.tasks):
        found.append(f"the events give the tasks {list(replayed.tasks)}, but there are {list(state)}")
    for name in state.keys() & replayed.tasks.keys():
        if state[name] != replayed.tasks[name]:
            found.append(f"the events give {replayed.tasks[name]}, but it is {state[name]}")
    if dict(suites) != replayed.suites:
        found.append(f"the events give the suites {replayed.suites}, but there are {dict(suites)}")
    if list(verdicts) != replayed.verdicts:
        found.append("the events give other verdicts than there are")
    return found

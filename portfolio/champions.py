"""Which version answers, and what `name`, `name@3` and `name@champion` name. On records alone: no SQL, no torch."""

from __future__ import annotations

from portfolio.errors import Conflict, NotFound
from portfolio.records import CHAMPION, AdapterRecord, Snapshot, TaskRecord
from portfolio.refs import Ref, require_known


def champions_of(snapshot: Snapshot) -> dict[str, AdapterRecord]:
    """By task, the version that answers: its champion; the newest, where no alias says which."""
    champion = {alias.name: alias.version for alias in snapshot.aliases if alias.alias == CHAMPION}
    found: dict[str, AdapterRecord] = {}
    for adapter in sorted(snapshot.adapters, key=lambda one: one.version):
        if champion.get(adapter.task, adapter.version) == adapter.version:
            found[adapter.task] = adapter
    return found


def champion_of(snapshot: Snapshot, task: str) -> AdapterRecord:
    """The version that answers for a task.

    Raises:
        NotFound: no such task; the message names those there are.
    """
    require_known(task, [record.name for record in snapshot.tasks])
    return champions_of(snapshot)[task]


def task_of(snapshot: Snapshot, name: str) -> TaskRecord:
    """The task of that name.

    Raises:
        NotFound: there is none; the message names those there are.
    """
    require_known(name, [record.name for record in snapshot.tasks])
    return next(record for record in snapshot.tasks if record.name == name)


def require_in_use(record: AdapterRecord) -> None:
    """Raise Conflict if a version is deprecated."""
    if record.deprecated is not None:
        raise Conflict(
            f"{record.ref} is deprecated ({record.deprecated}); take that back with: "
            f"portfolio deprecate {record.ref} --undo"
        )


def aliases_of(snapshot: Snapshot, name: str) -> dict[str, int]:
    """The aliases of an adapter, with the version that each names."""
    return {alias.alias: alias.version for alias in snapshot.aliases if alias.name == name}


def find_adapter(snapshot: Snapshot, text: str) -> AdapterRecord:
    """The adapter that `name`, `name@version` or `name@alias` names; of a bare name, the version that answers.

    Raises:
        NotFound: there is none; the message names what there is.
    """
    name, at, which = text.partition("@")
    require_known(name, [task.name for task in snapshot.tasks])
    if not at:
        return champion_of(snapshot, name)
    aliases = aliases_of(snapshot, name)
    wanted = str(aliases.get(which, which))
    found = [adapter for adapter in snapshot.adapters if adapter.name == name and str(adapter.version) == wanted]
    if not found:
        there = ", ".join(str(adapter.ref) for adapter in snapshot.adapters if adapter.name == name)
        named = "".join(f", {name}@{alias}" for alias in aliases)
        raise NotFound(f"there is no adapter {text!r}; of {name!r} there are: {there}{named}")
    return found[0]


def with_champion(snapshot: Snapshot, ref: Ref) -> dict[str, AdapterRecord]:
    """By task, who would answer if that version were the champion."""
    [adapter] = [one for one in snapshot.adapters if one.ref == ref]
    return {**champions_of(snapshot), adapter.task: adapter}

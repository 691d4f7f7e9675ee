"""Which adapters are made of which, and what that means for taking tasks out. On records alone: no SQL, no torch.

An adapter that others are made of stays as long as they stay: without it they could not answer.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence

from portfolio.errors import Conflict
from portfolio.records import AdapterRecord


def dependants(adapters: Iterable[AdapterRecord], names: Collection[str]) -> dict[str, list[str]]:
    """What would stand in the way of removing these tasks.

    Returns:
        For each adapter of a task that stays, as `name@version`: its members of tasks that go, as `name@version`.
        Adapters without any are left out.
    """
    needed = {
        str(adapter.ref): [str(member.ref) for member in adapter.members if member.name in names]
        for adapter in adapters
        if adapter.task not in names
    }
    return {ref: members for ref, members in needed.items() if members}


def with_dependants(adapters: Iterable[AdapterRecord], names: Iterable[str]) -> tuple[str, ...]:
    """These tasks, as given, and after them all that must go along, in the order of `adapters`."""
    made_of = [(adapter.task, {member.name for member in adapter.members}) for adapter in adapters]
    given = list(dict.fromkeys(names))
    going = list(given)
    for name in going:  # which grows meanwhile
        going += {task for task, members in made_of if name in members} - set(going)
    along = dict.fromkeys(task for task, _ in made_of if task in going and task not in given)
    return (*given, *along)


def require_unneeded(adapters: Sequence[AdapterRecord], names: Collection[str]) -> None:
    """Nothing, if these tasks can be removed together.

    Raises:
        Conflict: an adapter of a task that stays is made of one that would go; all such are named.
    """
    needed = dependants(adapters, names)
    if needed:
        who = "; ".join(f"{ref} is made of {', '.join(members)}" for ref, members in needed.items())
        along = with_dependants(adapters, names)[len(set(names)) :]
        raise Conflict(
            f"other adapters need what would be removed: {who}. Remove {_all_of(along[::-1])} first, or all of it together "
            f"with: portfolio remove-task {shlex.join(names)} --cascade"
        )


def _all_of(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]

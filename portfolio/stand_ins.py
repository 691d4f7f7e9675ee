"""Who answers where a task is disabled: the task that it names, one that this names in turn, the bare base, or nobody.

On records alone.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from portfolio.records import BARE_BASE, NOBODY, TaskRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Who answers in the place of a disabled task, and why."""

    who: str | None  # a task, or `base`; None: nobody
    reason: str


def stand_ins(tasks: Sequence[TaskRecord], allowed: Container[str]) -> dict[str, StandIn]:
    """By disabled task, who answers instead.

    Args:
        tasks: all that there are.
        allowed: those that may answer, by the rules.
    """
    disabled = {task.name: task.disabled for task in tasks if task.disabled is not None}
    known = {task.name for task in tasks} if disabled else set()
    return {name: _stand_in(name, disabled, known, allowed) for name in disabled}


def _stand_in(task: str, disabled: Mapping[str, str], known: Container[str], allowed: Container[str]) -> StandIn:
    reason, here, passed = f"'{task}' is disabled", disabled[task], {task}
    while here in disabled and here not in passed and here not in (BARE_BASE, NOBODY):
        reason = f"{reason}, and so is '{here}', which would answer instead"
        passed.add(here)
        here = disabled[here]
    if here == NOBODY:
        return StandIn(who=None, reason=f"{reason}, and nobody answers instead")
    if here == BARE_BASE:
        return StandIn(who=here, reason=f"{reason}; the bare base answers instead")
    if here in passed:
        return StandIn(who=None, reason=f"{reason}; that comes back to '{here}', so nobody answers")
    if here not in known:
        return StandIn(who=None, reason=f"{reason}, and there is no task '{here}' to answer instead")
    if here not in allowed:
        return StandIn(who=None, reason=f"{reason}, and the rules do not let '{here}' answer instead")
    return StandIn(who=here, reason=f"{reason}; '{here}' answers instead")

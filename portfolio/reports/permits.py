"""What the rules of a portfolio say to a request: as data, as JSON, and in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portfolio.reports.wording import count

if TYPE_CHECKING:
    from routing.rules import Permit

_LISTED_TASKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitReport:
    """A request, and which tasks it may reach."""

    tenant: str | None
    tags: Mapping[str, str]
    permit: Permit
    tasks: int  # how many there are
    has_rules: bool
    warnings: Sequence[str]  # of rules that name tasks which are not there


def permit_to_dict(report: PermitReport) -> dict[str, Any]:
    """The request, the tasks allowed, the rules that had a say, and the warnings."""
    return {
        "tenant": report.tenant,
        "tags": dict(report.tags),
        **dataclasses.asdict(report.permit),
        "warnings": list(report.warnings),
    }


def in_words(report: PermitReport) -> list[tuple[str, str]]:
    """The request, who may answer, and why: names, and what they hold."""
    permit, asked = report.permit, dict(report.tags)
    if report.tenant is not None:
        asked = {"tenant": report.tenant, **asked}
    allowed = ", ".join(permit.allowed[:_LISTED_TASKS])
    more = len(permit.allowed) - _LISTED_TASKS
    return [
        ("request", ", ".join(f"{key} = {value}" for key, value in asked.items()) or "no tenant, no tags"),
        ("may reach", f"{count(len(permit.allowed))} of {count(report.tasks, 'task')}"),
        *([("", allowed + (f" and {count(more)} more" if more > 0 else ""))] if allowed else []),
        *([("pinned", permit.pinned)] if permit.pinned else []),
        ("rules", ", ".join(permit.rules) or ("none had a say" if report.has_rules else "there are none")),
        *([("reason", permit.reason)] if permit.reason else []),
    ]

"""The events of a portfolio, read: what each says, and who answers from it on. They are never changed or removed.

An event is known by its number, from 1, in the order in which it was written; its time is that of the clock of the machine
that wrote it, which may have gone backwards. Events of earlier versions of this package say less, which is then not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class StoredEvent(Protocol):
    """As the store has it."""

    @property
    def at(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def detail(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened."""

    number: int
    at: str  # ISO 8601, UTC
    action: str
    subject: str  # mostly a task
    detail: Mapping[str, Any]

    @property
    def generation(self) -> int | None:
        """Of the portfolio, after it."""
        return self.detail.get("generation")

    def adapters(self) -> dict[str, str]:
        """The versions that it tells of, as `name@version`, with their digests."""
        if "adapter" in self.detail:  # of the first versions of this package, which knew one a task
            return {self.detail["adapter"]: self.detail["digest"]}
        found = self.detail.get("adapters", {})
        return dict(found) if isinstance(found, dict) else {}

    def champion(self) -> str | None:
        """The version that answers for the subject from now on; None where that stays, or ends."""
        if self.action in ("promote", "rollback"):
            return str(self.detail["to"])
        if self.action == "add-task" and (adapters := self.adapters()):
            return max(adapters, key=version_of)
        return None


def read_events(stored: Iterable[StoredEvent]) -> list[Event]:
    """All of them, numbered; the store gives them in order."""
    return [
        Event(number=number, at=one.at, action=one.action, subject=one.subject, detail=json.loads(one.detail))
        for number, one in enumerate(stored, start=1)
    ]


def version_of(ref: str) -> int:
    """2 of `banking@2`."""
    return int(ref.rpartition("@")[2])

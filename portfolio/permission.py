"""What `routes.toml` of a portfolio allows: the rules in the file, asked about the tasks that are there.

The file is read at every call, so that a rule takes effect at the next one. A file that cannot be read is an error and
never the same as no rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError
from portfolio.records import Snapshot

if TYPE_CHECKING:  # imported where they are needed: most commands ask for no rules
    from routing.rules import Permit, Rules

ROUTES = "routes.toml"


class RulesFile:
    """The rules of one portfolio, as they are now."""

    def __init__(self, portfolio: Path) -> None:
        self._path = portfolio / ROUTES
        self._last: tuple[bytes, Rules] | None = None  # what was read, and what it means; one value, for threads

    def current(self) -> Rules:
        """The rules; none where there is no file.

        Raises:
            ConfigError: the file cannot be read, or something in it cannot be; every fault with its line.
        """
        from routing.rules import NO_RULES

        if not os.path.lexists(self._path):  # a link that leads nowhere is there, and cannot be read
            return NO_RULES
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"expected rules in {self._path}, got a file that cannot be read: {error}") from error
        last = self._last
        if last is None or last[0] != data:
            last = data, _parsed(data, self._path)
            self._last = last
        return last[1]

    def warnings(self, snapshot: Snapshot) -> tuple[str, ...]:
        """What in the rules names tasks that are not there."""
        from routing.rules import missing_tasks

        return missing_tasks(self.current(), [task.name for task in snapshot.tasks])


def permit(rules: Rules, snapshot: Snapshot, tenant: str | None, tags: Mapping[str, str]) -> Permit:
    """Which tasks may answer this request.

    Raises:
        ConfigError: a tag that cannot be, or a risk class that the rules do not list.
    """
    from routing.rules import NO_RULES, Candidate, Permit, Request

    try:
        request = Request(tenant=tenant, tags=tags)
        if rules == NO_RULES:  # of ten thousand tasks, candidates would take most of the time of an answer
            return Permit(allowed=tuple(task.name for task in snapshot.tasks))
        candidates = [Candidate(name=task.name, tags=dict(task.tags)) for task in snapshot.tasks]
        return rules.permit(request, candidates)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _parsed(data: bytes, path: Path) -> Rules:
    from routing.rules_file import RulesError, parse_rules

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected text in UTF-8, got bytes that are none: {error}") from error
    try:
        return parse_rules(text, str(path))
    except RulesError as error:
        raise ConfigError(str(error)) from error

"""What `routes.toml` of a portfolio allows: the rules in the file, asked about the tasks that are there.

The file is read at every call, so that a rule takes effect at the next one. A file that cannot be read is an error and
never the same as no rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from portfolio.errors import ConfigError
from portfolio.records import Snapshot
from routing.rules import NO_RULES, Candidate, Permit, Request, Rules, missing_tasks
from routing.rules_file import RulesError, parse_rules

ROUTES = "routes.toml"


class RulesFile:
    """The rules of one portfolio, as they are now."""

    def __init__(self, portfolio: Path) -> None:
        self._path = portfolio / ROUTES
        self._last: tuple[bytes, Rules] = (b"", NO_RULES)  # what was read, and what it means; one value, for threads

    def current(self) -> Rules:
        """The rules; none where there is no file.

        Raises:
            ConfigError: the file cannot be read, or something in it cannot be; every fault with its line.
        """
        if not os.path.lexists(self._path):  # a link that leads nowhere is there, and cannot be read
            return NO_RULES
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"expected rules in {self._path}, got a file that cannot be read: {error}") from error
        before, rules = self._last
        if data != before:
            rules = _parsed(data, self._path)
            self._last = (data, rules)
        return rules

    def warnings(self, snapshot: Snapshot) -> tuple[str, ...]:
        """What in the rules names tasks that are not there."""
        return missing_tasks(self.current(), [task.name for task in snapshot.tasks])


def permit(rules: Rules, snapshot: Snapshot, tenant: str | None, tags: Mapping[str, str]) -> Permit:
    """Which tasks may answer this request.

    Raises:
        ConfigError: a tag that cannot be, or a risk class that the rules do not list.
    """
    candidates = [Candidate(name=task.name, tags=dict(task.tags)) for task in snapshot.tasks]
    try:
        return rules.permit(Request(tenant=tenant, tags=tags), candidates)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _parsed(data: bytes, path: Path) -> Rules:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected text in UTF-8, got bytes that are none: {error}") from error
    try:
        return parse_rules(text, str(path))
    except RulesError as error:
        raise ConfigError(str(error)) from error

"""Rules: which versions they hold for, and what they check. The checks stand in one table, CHECKS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from portfolio.gates.evidence import Evidence
from portfolio.gates.found import Found
from portfolio.gates.rules_effects import CostCheck, IntegrityCheck, OthersCheck, RoutingCheck
from portfolio.gates.rules_examples import GoldenCheck, SliceCheck, SuiteCheck
from portfolio.gates.rules_quality import BoundCheck, CalibrationCheck, NoWorseCheck, TypoCheck
from portfolio.gates.rules_text import TextCheck
from routing.rules import Condition


class Check(Protocol):
    """What one rule looks at. A check is plain data, and a bad value cannot exist."""

    kind: ClassVar[str]  # as `check` in gates.toml

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        """What it finds; one thing or more.

        Args:
            champion: the version to compare with; None: there is no other.

        Raises:
            DataError, NotFound, DamagedBlob: it cannot be looked at.
        """


CHECKS: Mapping[str, type[Check]] = {
    one.kind: one
    for one in (
        BoundCheck,
        NoWorseCheck,
        SliceCheck,
        GoldenCheck,
        OthersCheck,
        RoutingCheck,
        CalibrationCheck,
        TypoCheck,
        CostCheck,
        IntegrityCheck,
        SuiteCheck,
        TextCheck,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A check, for the tasks for which all conditions hold; without any: for every task."""

    name: str
    check: Check
    conditions: tuple[Condition, ...] = ()  # of the task's tags, and `task`, its name

    def holds_for(self, facts: Mapping[str, str]) -> bool:
        return all(condition.holds(facts) for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The rules of a portfolio, as they are now."""

    rules: tuple[Rule, ...]
    digest: str  # SHA-256 of the file; of the text that holds without one
    source: str  # the file, or in words

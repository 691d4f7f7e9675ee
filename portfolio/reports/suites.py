"""What adapters and the router made of shared evaluation suites, and how far adapters are from each other; as data, as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol


class Suite(Protocol):
    """A suite as it is on record."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def added_at(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One adapter, or the router, on one suite."""

    who: str  # `name@version`, or `router`
    rows: int  # that expect something of it
    missed: tuple[int, ...]  # numbers of those whose expectation it does not meet, from 0

    @property
    def share(self) -> float | None:
        """Of those rows, met; None where there is none."""
        return None if self.rows == 0 else 1 - len(self.missed) / self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Two adapters, or an adapter and the bare base, on the same texts."""

    first: str
    second: str
    distance: float  # mean of 1 - cosine of their pooled final states, in [0, 2]
    shared_labels: int  # that both know
    disagreement: float | None  # share of texts with different labels among those; None where they share fewer than two


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One suite."""

    name: str
    digest: str
    rows: int
    examined: tuple[Examined, ...]  # adapters, then the router where the suite says routes
    divergence: tuple[Divergence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteReport:
    """Several suites, under one state of the portfolio."""

    generation: int
    suites: tuple[SuiteRun, ...]


def suite_report_to_dict(report: SuiteReport) -> dict[str, Any]:
    """Every figure; rows are counted from 1, as a file's lines are."""
    return {
        "generation": report.generation,
        "suites": [
            {
                **dataclasses.asdict(run),
                "examined": [
                    {"who": one.who, "rows": one.rows, "met": one.share, "missed": [row + 1 for row in one.missed]}
                    for one in run.examined
                ],
                "divergence": [dataclasses.asdict(pair) for pair in run.divergence],
            }
            for run in report.suites
        ],
    }

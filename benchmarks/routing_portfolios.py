"""Routed against oracle accuracy, from what a grown portfolio knows of itself; `grow.py` grows one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portfolio import Portfolio


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Means over the tasks of one portfolio, on their test rows, after the last task came."""

    name: str
    tasks: int
    routing: float | None
    oracle: float | None
    routed: float | None

    @property
    def ratio(self) -> float | None:
        return self.routed / self.oracle if self.routed is not None and self.oracle else None


def grown(directory: Path) -> Grown:
    """What the report of the portfolio in that directory says."""
    report = Portfolio.open(directory).report().to_dict()
    return Grown(
        name=directory.name,
        tasks=len(report["tasks"]),
        routing=report["routing_accuracy"],
        oracle=report["oracle"]["average_accuracy"],
        routed=report["routed"]["average_accuracy"],
    )

"""Which tasks a report lists when it cannot list all: those that lost most, in the order in which they were added."""

from __future__ import annotations

from portfolio.reports.report import Report


def worst_first(report: Report) -> list[int]:
    """The numbers of all tasks: the largest routed loss first; of equal losses, the lower score now first."""
    changes, now = report.routed.changes(), report.routed.now()

    def loss_then_score(task: int) -> tuple[float, float]:
        change, score = changes[task], now[task]
        return (1.0 if change is None else change, 1.0 if score is None else score)

    return sorted(range(len(report.tasks)), key=loss_then_score)


def listed(report: Report, most: int, instead: int) -> list[int]:
    """The numbers of all tasks if they are not more than `most`, otherwise of so many that lost most."""
    everyone = list(range(len(report.tasks)))
    return everyone if len(everyone) <= most else sorted(worst_first(report)[:instead])

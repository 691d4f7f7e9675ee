"""Where the router sends each task's test rows, forced to choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portfolio.outcomes import Outcomes
from portfolio.reports.findings import Confusion


def confusion(outcomes: Outcomes, tasks: Sequence[str]) -> Confusion | None:
    """The counts over `tasks`, in their order; None where the outcomes are of other tasks."""
    position = {task: index for index, task in enumerate(tasks)}
    if set(outcomes.names) != set(position):
        return None
    column = np.array([position[name] for name in outcomes.names], dtype=np.int64)
    counts = np.zeros((len(tasks), len(tasks)), dtype=np.int64)
    for measured in outcomes.tasks:
        counts[position[measured.task]] = np.bincount(column[measured.chosen], minlength=len(tasks))
    return Confusion(tasks=tuple(tasks), counts=tuple(map(tuple, counts.tolist())))

"""What a task's adapter gains by those that were there before it: forward transfer that can be measured.

    gain = validation accuracy of what was kept - that of an adapter trained for the task alone

FWT needs scores on a task before it comes, which a classifier of unknown labels cannot have. Where an adapter was made of
others, both were tried on the same validation rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from portfolio.records import AdapterRecord, TaskRecord
from portfolio.reports.findings import Gain

OWN = "own"  # the choice that is trained for the task alone


def gains(tasks: Sequence[TaskRecord], champions: Mapping[str, AdapterRecord]) -> tuple[Gain, ...]:
    """One for each task whose answering version was compared with an adapter of its own, in the order of the tasks.

    Args:
        champions: by task, the version that answers.
    """
    found = (_gain(champions[task.name]) for task in tasks if task.name in champions)
    return tuple(gain for gain in found if gain is not None)


def _gain(adapter: AdapterRecord) -> Gain | None:
    """None where one of the two was not tried, or has no score."""
    kept = next((choice for choice in adapter.comparison if choice.is_kept), None)
    own = next((choice for choice in adapter.comparison if choice.choice == OWN), None)
    if kept is None or own is None or math.isnan(kept.score - own.score):
        return None
    return Gain(
        task=adapter.task,
        method=adapter.method,
        kept=kept.choice,
        gain=kept.score - own.score,
        p_value=None if own.p_value is None or math.isnan(own.p_value) else own.p_value,
    )

"""Two versions side by side: what the store holds of each, for the difference to be told. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from portfolio.errors import DamagedBlob
from portfolio.evaluation_set import EvaluationSet
from portfolio.gates.verdict import verdict_from_json
from portfolio.records import AdapterRecord, TaskRecord
from portfolio.reports.difference import Difference, Side, difference
from portfolio.store.store import Store

if TYPE_CHECKING:
    from portfolio.tasks.splits import Split

_TAKEN_OVER = (
    *("labels", "has_pairs", "columns", "sources", "seed", "reading", "centroids", "scatter", "evaluation", "notes"),
)


def difference_of(store: Store, before: AdapterRecord, after: AdapterRecord) -> Difference:
    """How the second version differs from the first."""
    return difference(_side(store, before), _side(store, after))


def flipped_texts(
    store: Store, found: Difference, task: TaskRecord, record: AdapterRecord, read: Callable[[TaskRecord], Split | None]
) -> Mapping[int, str]:
    """The texts of the rows that flipped, read again from where they came; none where they cannot be read any more.

    Args:
        task: of the second version.
        record: that version.
    """
    if found.flips is None:
        return {}
    lineage = store.releases.lineage(record.ref)
    split = read(replace(task, **{field: getattr(lineage, field) for field in _TAKEN_OVER}))
    if split is None:
        return {}
    contents = split.contents()
    return {row: " / ".join(filter(None, contents[row])) for row in (*found.flips.lost, *found.flips.won)}


def _side(store: Store, record: AdapterRecord) -> Side:
    lineage = store.releases.lineage(record.ref)
    verdicts = [row for row in store.releases.verdicts(record.name) if row.adapter == record.digest]
    try:
        answers = EvaluationSet.from_bytes(store.get(lineage.evaluation))
    except DamagedBlob:
        answers = None
    verdict = verdict_from_json(store.get(verdicts[-1].digest).decode()) if verdicts else None
    return Side(record=record, lineage=lineage, answers=answers, verdict=verdict)

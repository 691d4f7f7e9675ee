"""Two versions side by side: what the store holds of each, for the difference to be told. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from portfolio.errors import DamagedBlob
from portfolio.evaluation_set import EvaluationSet
from portfolio.gates.verdict import verdict_from_json
from portfolio.records import AdapterRecord, Lineage
from portfolio.reports.difference import Difference, Side, difference
from portfolio.store.store import Store
from portfolio.tasks.recipe import read_test_again


def difference_of(store: Store, before: AdapterRecord, after: AdapterRecord) -> Difference:
    """How the second version differs from the first."""
    return difference(_side(store, before), _side(store, after))


def flipped_texts(found: Difference, lineage: Lineage) -> Mapping[int, str]:
    """The texts of the rows that flipped, read again from where they came; none where they cannot be read any more.

    Args:
        lineage: of the second version.
    """
    split = read_test_again(lineage) if found.flips is not None else None
    if found.flips is None or split is None:
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

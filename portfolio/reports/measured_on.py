"""Which test rows a task was measured on: those of the version that answered then, as a version may have rows of its own.

Scores of one task are compared only where they speak of the same rows, by their digests. Where a digest is not known, a
version's rows are the same as its own and as no other's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from portfolio.records import Lineage, Source
from portfolio.reports.events import StoredEvent, read_events


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredOn:
    """What promotions and rollbacks changed."""

    spans: Mapping[str, Sequence[tuple[int, str]]]  # by task, oldest first: the generation from which on, and the rows
    moved_at: int = 0  # generation of the last promotion or rollback; 0: there was none

    def same(self, task: str, generation: int, other: int) -> bool:
        """Whether the task had the same rows at both; it is not asked whether it was removed and came again between."""
        spans = self.spans.get(task)
        return spans is None or _rows(spans, generation) == _rows(spans, other)


NOTHING_MOVED = MeasuredOn(spans={})


def measured_on(events: Iterable[StoredEvent], lineages: Iterable[Lineage]) -> MeasuredOn:
    """Of a portfolio as it is now; tasks whose versions all have the same rows are left out.

    Args:
        lineages: of the versions there are.
    """
    digests = {str(lineage.ref): digest_of_test(lineage.sources) for lineage in lineages}
    spans: dict[str, list[tuple[int, str]]] = {}
    moved_at = 0
    for event in read_events(events):
        champion = event.champion()
        if champion is None:
            continue
        if event.action == "add-task":
            spans[event.subject] = []
        else:
            moved_at = event.generation or 0
        rows = digests.get(champion) or champion
        spans.setdefault(event.subject, []).append((event.generation or 0, rows))
    several = {task: found for task, found in spans.items() if len({rows for _, rows in found}) > 1}
    return MeasuredOn(spans=several, moved_at=moved_at)


def digest_of_test(sources: Iterable[Source]) -> str | None:
    """Of the test rows; None where there is no test split."""
    return next((source.sha256 for source in sources if source.split == "test"), None)


def _rows(spans: Sequence[tuple[int, str]], generation: int) -> str:
    """Those of the last span that had begun; before the first, those of the first."""
    begun = bisect_right(spans, generation, key=itemgetter(0))
    return spans[max(0, begun - 1)][1]

"""Challengers in a batch: those of a canary are asked instead of the champion, those of a shadow beside it, unheard.

A shadow has a pass of its own, after the answers' pass: so it changes no bit of an answer, and an adapter that cannot be read
fails no answer. Without traffic nothing here is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from portfolio.engine import Engine
from portfolio.errors import DamagedBlob
from portfolio.hosting.encode import Batch
from portfolio.hosting.plan import Trunk
from portfolio.hosting.ready import Variation
from portfolio.opinions import Opinion, opinions_of
from portfolio.traffic import CANARY, SHADOW, Counts, Said, Trial, Tried

Takes = Callable[[Tried, int], bool]  # whether a row of the batch belongs to a challenger's share


def counted_canaries(opinions: Sequence[Opinion], tried: Mapping[str, Tried]) -> dict[Trial, Counts]:
    """What champions and challengers said to the rows that each of them was given."""
    counted: dict[Trial, Counts] = {}
    for task, one in tried.items():
        heard = [opinion for opinion in opinions if opinion.asked.adapter.task == task]
        if one.traffic.mode == CANARY and heard:
            theirs = [opinion for opinion in heard if opinion.asked.adapter.version == one.traffic.version]
            ours = [opinion for opinion in heard if opinion.asked.adapter.version == one.beside]
            counted[one.trial] = Counts(champion=_said(ours), challenger=_said(theirs))
    return counted


def counted_shadows(
    engine: Engine,
    batch: Batch,
    trunk: Trunk | None,
    opinions: Sequence[Opinion],
    tried: Mapping[str, Tried],
    takes: Takes,
    variations: Mapping[str, Variation],
) -> dict[Trial, Counts]:
    """What challengers would have said to rows of their share, which their champions answered."""
    counted: dict[Trial, Counts] = {}
    for task, one in tried.items():
        if one.traffic.mode != SHADOW:
            continue
        heard = [opinion for opinion in opinions if opinion.asked.adapter.task == task]
        ours = [opinion for opinion in heard if takes(one, opinion.asked.row)]
        if ours:
            asked = [replace(opinion.asked, adapter=one.challenger, labels=one.labels) for opinion in ours]
            try:
                theirs = opinions_of(engine, batch, trunk, asked, variations)
            except DamagedBlob:
                counted[one.trial] = Counts(failed=len(ours))
            else:
                counted[one.trial] = _compared(ours, theirs)
    return counted


def _compared(ours: Sequence[Opinion], theirs: Sequence[Opinion]) -> Counts:
    """Both sides said something to the same rows."""
    same = sum(one.label == other.label for one, other in zip(ours, theirs, strict=True))
    gaps = [other.probability - one.probability for one, other in zip(ours, theirs, strict=True)]
    return Counts(
        champion=_said(ours),
        challenger=_said(theirs),
        same=same,
        different=len(ours) - same,
        gap=sum(gaps),
        gap_squares=sum(gap**2 for gap in gaps),
    )


def _said(opinions: Sequence[Opinion]) -> Said:
    return Said.of((opinion.label, opinion.probability) for opinion in opinions)

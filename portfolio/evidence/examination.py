"""What versions and the router make of a shared suite: for each row whether what it expects is met.

A row expects something of a version if the version knows the label that is wanted or forbidden, if the version's certainty
is bounded, or if the row's route is given: where the router sends a text is the portfolio's matter, yet it changes with the
version that answers for a task. A row is met if everything that it expects is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from portfolio.engine import Engine
from portfolio.evidence.versions import Opinion, Version, opinion_of
from portfolio.gates.evidence import Bool, SuiteResult
from portfolio.hosting.trunk import Prepared, prepare
from portfolio.store.release_rows import SuiteRow
from portfolio.tasks.suite_file import SuiteText
from routing.cascade import Cascade

MOST_KEPT_BYTES = 256 << 20  # of the trunk's states of a suite's texts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paper:
    """A suite's rows, which the bare base has read."""

    rows: tuple[SuiteText, ...]
    prepared: Prepared

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marks:
    """For each of the N rows."""

    expects: Bool  # (N,), whether it expects something
    met: Bool  # (N,), whether that is met; True where nothing is expected


def paper_of(engine: Engine, rows: Sequence[SuiteText]) -> Paper:
    """Run the bare base over the suite's texts, once for all who are examined."""
    pairs = [row.pair for row in rows if row.pair is not None]
    encoded = engine.encode([row.text for row in rows], pairs or None)
    return Paper(rows=tuple(rows), prepared=prepare(engine.host, encoded, keep_bytes=MOST_KEPT_BYTES))


def marks_of_version(paper: Paper, version: Version, opinion: Opinion) -> Marks:
    """Args: opinion: of the version, on the paper's texts."""
    probabilities = opinion.probabilities
    likeliest = probabilities.argmax(1).tolist()
    known = set(version.labels)
    expects, met = [], []
    for row, number, sure in zip(paper.rows, likeliest, probabilities.max(1).tolist(), strict=True):
        said = version.labels[number]
        found = [
            *([said == row.label] if row.label in known else []),
            *([said != row.never] if row.never in known else []),
            *([sure <= row.at_most] if row.at_most is not None else []),
        ]
        expects.append(bool(found))
        met.append(all(found))
    return _marks(expects, met)


def marks_of_router(engine: Engine, paper: Paper, router: Cascade) -> Marks:
    """Where the router sends the texts, as far as that is given."""
    choices = router.choose(engine.view(paper.prepared.features)).choices
    expects, met = [], []
    for row, chosen, refused in zip(paper.rows, choices.tasks.tolist(), choices.abstain.tolist(), strict=True):
        found = [*([router.tasks[chosen] == row.task] if row.task else []), *([refused] if row.abstain else [])]
        expects.append(bool(found))
        met.append(all(found))
    return _marks(expects, met)


def examine(
    engine: Engine,
    paper: Paper,
    version: Version,
    champion: Version | None,
    *,
    suite: SuiteRow,
    routers: tuple[Cascade, Cascade] | None,
) -> SuiteResult:
    """The rows that expect something of the version, and what the champion makes of the same.

    Args:
        routers: with the version as champion, and as it is; None where no row says a route.
    """
    own = _marks_of_both(engine, paper, version, None if routers is None else routers[0])
    shown = np.flatnonzero(own.expects)
    before = None
    if champion is not None:
        marks = _marks_of_both(engine, paper, champion, None if routers is None else routers[1])
        unsayable = [row.label in version.labels and row.label not in champion.labels for row in paper.rows]
        before = (marks.met & ~np.array(unsayable, dtype=np.bool_))[shown]
    return SuiteResult(
        name=suite.name, met=own.met[shown], champion_met=before, rows=tuple(shown.tolist()), digest=suite.digest
    )


def _marks_of_both(engine: Engine, paper: Paper, version: Version, router: Cascade | None) -> Marks:
    """What is expected of a version and of the router together."""
    marks = marks_of_version(paper, version, opinion_of(engine.host, version, paper.prepared))
    if router is None:
        return marks
    routed = marks_of_router(engine, paper, router)
    return Marks(expects=marks.expects | routed.expects, met=marks.met & routed.met)


def _marks(expects: Sequence[bool], met: Sequence[bool]) -> Marks:
    return Marks(expects=np.array(expects, dtype=np.bool_), met=np.array(met, dtype=np.bool_))

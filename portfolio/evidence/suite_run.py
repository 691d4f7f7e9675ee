"""Suites run over several adapters: what each meets, what the router meets, how far the adapters are from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from portfolio.engine import Engine, Moment
from portfolio.evidence.divergence import Position, divergences, position_of_base
from portfolio.evidence.examination import Marks, Paper, marks_of_router, marks_of_version, paper_of
from portfolio.evidence.versions import load_version, opinion_of
from portfolio.records import AdapterRecord
from portfolio.reports.suites import Examined, SuiteReport, SuiteRun
from portfolio.store.release_rows import SuiteRow
from portfolio.tasks.suite_file import SuiteText

ROUTER = "router"


def run_suites(
    engine: Engine, now: Moment, rows: Mapping[SuiteRow, Sequence[SuiteText]], records: Sequence[AdapterRecord]
) -> SuiteReport:
    """Every suite over all of these, and the router as it is.

    Raises:
        DataError: one of them cannot be run.
    """
    papers = {suite: paper_of(engine, texts) for suite, texts in rows.items()}
    examined: dict[SuiteRow, list[Examined]] = {suite: [] for suite in papers}
    positions = {suite: [position_of_base(engine.host, paper.prepared)] for suite, paper in papers.items()}
    for record in records:  # each is loaded once, and let go of before the next
        version = load_version(engine, record, engine.store.releases.lineage(record.ref).labels)
        for suite, paper in papers.items():
            opinion = opinion_of(engine.host, version, paper.prepared)
            examined[suite].append(_examined(str(record.ref), marks_of_version(paper, version, opinion)))
            positions[suite].append(Position(name=str(record.ref), labels=version.labels, opinion=opinion))
    return SuiteReport(
        generation=now.snapshot.generation,
        suites=tuple(
            SuiteRun(
                name=suite.name,
                digest=suite.digest,
                rows=len(paper),
                examined=(*examined[suite], *_router(engine, now, paper)),
                divergence=divergences(_base_last(positions[suite])),
            )
            for suite, paper in papers.items()
        ),
    )


def _router(engine: Engine, now: Moment, paper: Paper) -> tuple[Examined, ...]:
    """The router, if the suite says where any text should go."""
    assert now.router is not None
    marks = marks_of_router(engine, paper, now.router)
    return (_examined(ROUTER, marks),) if marks.expects.any() else ()


def _examined(who: str, marks: Marks) -> Examined:
    missed = np.flatnonzero(marks.expects & ~marks.met)
    return Examined(who=who, rows=int(marks.expects.sum()), missed=tuple(missed.tolist()))


def _base_last(positions: Sequence[Position]) -> list[Position]:
    """So that a pair names the adapter first."""
    base, *others = positions
    return [*others, base]

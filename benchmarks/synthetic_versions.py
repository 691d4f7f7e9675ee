"""More versions of every adapter of a synthetic portfolio, and verdicts that let some be promoted: drawn, not learned.

A version is the first one with other numbers in its last bytes, so that each is a blob of its own; all are learned from the
same. All rows are written in one transaction.
"""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from portfolio.gates.gates_file import GatesFile
from portfolio.gates.verdict import PASS, Verdict
from portfolio.records import AdapterRecord, Ready
from portfolio.refs import Ref
from portfolio.store import adapter_rows, release_rows
from portfolio.store.changes import iso_now
from portfolio.store.creation import DATABASE
from portfolio.store.database import Database
from portfolio.store.release_rows import VerdictRow
from portfolio.store.store import Store
from portfolio.surroundings import surroundings

_WRITERS = 16  # threads


def add_versions(store: Store, versions: int) -> None:
    """Until each adapter has so many."""
    snapshot = store.snapshot(history=False)

    def made(first: AdapterRecord) -> list[AdapterRecord]:
        data = store.get(first.digest)
        blobs = [data[:-4] + struct.pack("<f", 0.001 * version) for version in range(2, versions + 1)]
        return [
            replace(first, version=version, digest=store.put(blob), created_at=iso_now())
            for version, blob in enumerate(blobs, start=2)
        ]

    firsts = [one for one in snapshot.adapters if one.version == 1]
    there = {one.ref for one in snapshot.adapters}
    with ThreadPoolExecutor(_WRITERS) as pool:
        more = list(pool.map(made, firsts))
    with Database(store.path / DATABASE).writing() as db:
        for first, others in zip(firsts, more, strict=True):
            lineage = release_rows.read_lineage(db, first.ref)
            assert lineage is not None
            for one in others:
                if one.ref not in there:
                    adapter_rows.insert_adapters(db, [one])
                    release_rows.insert_lineage(db, replace(lineage, version=one.version, parent=str(first.ref)))


def let_pass(store: Store, name: str, version: int) -> None:
    """A verdict as a gate leaves it, with what the portfolio would be: here what it is, as nothing was learned."""
    snapshot = store.snapshot(history=False)
    adapters = {one.ref: one for one in snapshot.adapters}
    record, champion = adapters[Ref(name, version)], adapters[Ref(name, 1)]
    around = surroundings(snapshot, name)
    verdict = Verdict(
        ref=str(record.ref),
        champion=str(champion.ref),
        outcome=PASS,
        findings=(),
        adapter=record.digest,
        champion_adapter=champion.digest,
        data=(),
        gates=GatesFile(store.path).current().digest,
        surroundings=around,
        at=iso_now(),
    )
    row = VerdictRow(
        at=verdict.at,
        name=name,
        version=version,
        adapter=record.digest,
        outcome=PASS,
        digest=store.put(verdict.to_json().encode()),
    )
    assert snapshot.router is not None
    ready = Ready(
        name=name,
        version=version,
        surroundings=around,
        router=snapshot.router,
        cells=tuple(snapshot.cells),
        outcomes=snapshot.moments[-1].outcomes,
    )
    store.releases.commit_verdict(
        expected_generation=snapshot.generation, verdict=row, ready=ready, detail={"why": "synthetic"}
    )

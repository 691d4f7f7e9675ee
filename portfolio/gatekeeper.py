"""Who judges versions: the rules of `gates.toml` asked about the evidence, and verdicts kept as long as they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from portfolio.champions import champion_of, task_of
from portfolio.gates.gates_file import GatesFile
from portfolio.gates.verdict import Verdict, verdict_from_json
from portfolio.records import AdapterRecord, Snapshot, TaskRecord
from portfolio.store.changes import iso_now
from portfolio.store.release_rows import VerdictRow
from portfolio.store.store import Store
from portfolio.surroundings import surroundings

if TYPE_CHECKING:
    from portfolio.engine import Engine
    from portfolio.evidence.model_evidence import ModelEvidence
    from portfolio.tasks.splits import Split

ReadAgain = Callable[[TaskRecord], "Split | None"]


class Gatekeeper:
    """Judges the versions of one portfolio. Only judging runs models."""

    def __init__(self, store: Store, engine: Callable[[], Engine], read_again: ReadAgain) -> None:
        self._store = store
        self._engine = engine
        self._read_again = read_again
        self._gates = GatesFile(store.path)

    def verdicts(self, name: str | None = None) -> tuple[Verdict, ...]:
        """All, or those on the versions of one adapter; oldest first."""
        rows = self._store.releases.verdicts(name)
        return tuple(verdict_from_json(self._store.get(row.digest).decode()) for row in rows)

    def judge(self, snapshot: Snapshot, record: AdapterRecord) -> tuple[Verdict, ModelEvidence]:
        """What the rules that hold now find of a version, and what they looked at.

        Raises:
            ConfigError: a `gates.toml` that cannot be.
        """
        from portfolio.evidence.model_evidence import ModelEvidence
        from portfolio.gates.judging import judge
        from portfolio.gates.named_files import named_files

        gates = self._gates.current()
        champion = champion_of(snapshot, record.task)
        evidence = ModelEvidence(self._engine(), record.ref, read_again=self._read_again)
        verdict = judge(
            gates,
            dict(task_of(snapshot, record.task).tags),
            evidence,
            version=record,
            champion=None if champion.ref == record.ref else champion,
            surroundings=surroundings(snapshot, record.task),
            at=iso_now(),
        )
        watched = named_files(gates, self._store.path, record.ref)
        return replace(verdict, data=(*verdict.data, *watched)), evidence

    def keep(
        self, snapshot: Snapshot, record: AdapterRecord, verdict: Verdict, evidence: ModelEvidence, why: str
    ) -> None:
        """Put a verdict on record, with what a promotion would need.

        Raises:
            GenerationMoved: the portfolio changed since that snapshot.
        """
        is_champion = champion_of(snapshot, record.task).ref == record.ref
        row = VerdictRow(
            at=verdict.at,
            name=record.name,
            version=record.version,
            adapter=record.digest,
            outcome=verdict.outcome,
            digest=self._store.put(verdict.to_json().encode()),
        )
        self._store.releases.commit_verdict(
            expected_generation=snapshot.generation,
            verdict=row,
            ready=None if is_champion else evidence.ready(),
            detail={"why": why},
        )

    def standing(self, snapshot: Snapshot, record: AdapterRecord) -> Verdict | None:
        """The newest verdict on this version, if everything that it looked at is the same now."""
        rows = [row for row in self._store.releases.verdicts(record.name) if row.version == record.version]
        if not rows or rows[-1].adapter != record.digest:
            return None
        from portfolio.gates.named_files import are_unchanged

        verdict = verdict_from_json(self._store.get(rows[-1].digest).decode())
        champion = champion_of(snapshot, record.task)
        beside = None if champion.ref == record.ref else champion.digest
        holds = (
            verdict.champion_adapter == beside
            and verdict.gates == self._gates.digest()
            and verdict.surroundings == surroundings(snapshot, record.task)
            and are_unchanged(verdict.data)
            and self._suites_of(verdict) <= {(f"suite {one.name}", one.digest) for one in self._store.releases.suites()}
        )
        return verdict if holds else None

    @staticmethod
    def _suites_of(verdict: Verdict) -> set[tuple[str, str]]:
        return {(what, digest) for what, digest in verdict.data if what.startswith("suite ")}

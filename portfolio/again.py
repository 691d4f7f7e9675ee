"""A task that is trained again: what it is learned from where nothing else is said, and the versions that come of it.

A new version answers nobody before it is promoted, and touches no earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.champions import champion_of
from portfolio.records import AdapterRecord, Lineage, Member, Snapshot, TaskRecord
from portfolio.store.changes import package_version, until_it_stands
from portfolio.store.release_rows import lineage_of
from portfolio.store.store import Store
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.recipe import Recipe, listed_labels, place

if TYPE_CHECKING:
    from portfolio.candidates import Candidate
    from portfolio.methods.config import AdapterConfig


def recipe_again(
    task: TaskRecord,
    places: tuple[str | Path | None, str | Path | None, str | Path | None],
    *,
    columns: Columns = GUESS,
    where: Mapping[str, str],
    labels: Sequence[str],
    unknown_labels: str = "error",
    seed: int | None,
) -> Recipe:
    """How the champion's examples were read, but for what is given: train, validation and test, and the rest."""
    before = Recipe.from_json(task.reading)
    train, validation, test = map(place, places)
    return Recipe(
        train=train or before.train,
        validation=validation or before.validation,
        test=test or before.test,
        columns=before.columns if columns == GUESS else columns,
        where=dict(where) or before.where,
        labels=listed_labels(labels) or before.labels,
        unknown_labels=before.unknown_labels if unknown_labels == "error" else unknown_labels,
        seed=before.seed if seed is None else seed,
    )


def method_again(snapshot: Snapshot, name: str) -> AdapterConfig | None:
    """The method of the version that answers, with its settings; None where that is made of other adapters."""
    from portfolio.methods.table import METHODS, config_from_json

    champion = champion_of(snapshot, name)
    return config_from_json(champion.config) if champion.method in METHODS else None


def take_versions(store: Store, candidate: Candidate) -> AdapterRecord:
    """Store what was learned as the next versions of its task's adapter; the last of them.

    Raises:
        NotFound: the task was removed meanwhile.
        Conflict: a member of the adapter was removed.
    """
    return until_it_stands(lambda: _take(store, candidate))


def _take(store: Store, candidate: Candidate) -> AdapterRecord:
    snapshot = store.snapshot(history=False)
    champion = champion_of(snapshot, candidate.task.name)
    taken = max(one.version for one in snapshot.adapters if one.name == champion.name)
    adapters = _numbered(candidate.adapters, taken)
    lineages = [_lineage(candidate.task, one, snapshot, champion) for one in adapters]
    store.releases.commit_versions(
        expected_generation=snapshot.generation, adapters=adapters, lineages=lineages, detail={}
    )
    return adapters[-1]


def _numbered(adapters: Sequence[AdapterRecord], taken: int) -> tuple[AdapterRecord, ...]:
    """The same, by numbers after those that are taken; also where one is made of another."""
    numbers = {one.digest: taken + place for place, one in enumerate(adapters, start=1)}

    def renamed(member: Member) -> Member:
        return replace(member, version=numbers.get(member.digest, member.version))

    return tuple(
        replace(one, version=numbers[one.digest], members=tuple(map(renamed, one.members))) for one in adapters
    )


def _lineage(task: TaskRecord, adapter: AdapterRecord, snapshot: Snapshot, champion: AdapterRecord) -> Lineage:
    base, code = snapshot.contract.fingerprint, package_version()
    return lineage_of(task, adapter.version, base=base, code=code, parent=str(champion.ref))

"""Synthetic portfolios whose every part follows from its name, so that any reader can tell whether a state is whole.

The router's sums are a list of the champions, a version's blobs are made of its name and number. Every change below reads a
snapshot, makes records for it, and commits them once; `GenerationMoved` where somebody else was quicker. No model, no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from portfolio.champions import aliases_of, champions_of
from portfolio.errors import Conflict
from portfolio.records import (
    PREVIOUS,
    AdapterRecord,
    BaseContract,
    Cell,
    Lineage,
    Ready,
    Results,
    RouterState,
    Snapshot,
    Source,
    TaskRecord,
    Traffic,
)
from portfolio.refs import Ref
from portfolio.store.changes import GenerationMoved
from portfolio.store.release_rows import SuiteRow, VerdictRow
from portfolio.store.store import Store

CONTRACT = BaseContract(
    name="tiny",
    revision=None,
    fingerprint="f" * 64,
    model_type="bert",
    hidden_size=8,
    blocks=2,
    trunk=1,
    pooling="mean",
    max_tokens=16,
    feature_blocks=(1, 2),
)

Detail = Mapping[str, object]

# Records


def content(ref: Ref, part: str) -> bytes:
    return f"{part} of {ref}\n".encode() * 40


def adapter_record(store: Store, ref: Ref) -> AdapterRecord:
    return AdapterRecord(
        name=ref.name,
        version=ref.version,
        task=ref.name,
        digest=store.put(content(ref, "adapter")),
        method="bottleneck",
        config='{"rank":4}',
        training='{"epochs":2}',
        parameters=100,
        bytes=400,
        seconds=1.5,
        epochs=2,
        seed=ref.version,
        validation_score=0.75,
    )


def lineage(store: Store, ref: Ref, parent: str | None = None) -> Lineage:
    return Lineage(
        name=ref.name,
        version=ref.version,
        labels=(f"{ref}/no", f"{ref}/yes"),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=(Source(split="train", path=f"/data/{ref}.jsonl", sha256="0" * 64, rows=7),),
        seed=ref.version,
        reading="{}",
        centroids=store.put(content(ref, "centroids")),
        scatter=store.put(content(ref, "scatter")),
        evaluation=store.put(content(ref, "evaluation")),
        parent=parent,
    )


def task_record(store: Store, name: str) -> TaskRecord:
    first = lineage(store, Ref(name, 1))
    return TaskRecord(
        name=name,
        kind="classification",
        labels=first.labels,
        has_pairs=first.has_pairs,
        columns=first.columns,
        sources=first.sources,
        seed=first.seed,
        reading=first.reading,
        centroids=first.centroids,
        scatter=first.scatter,
        evaluation=first.evaluation,
    )


def totals(champions: Mapping[str, int]) -> bytes:
    """What stands for the router's sums: who answers."""
    return json.dumps(dict(champions), sort_keys=True).encode()


def router_state(store: Store, champions: Mapping[str, int]) -> RouterState:
    return RouterState(totals=store.put(totals(champions)), threshold=-1.5, temperature=1.5, shrinkage=0.25)


def results(store: Store, champions: Mapping[str, int]) -> Results:
    """A row of the results matrix, and what became of the test rows: again who answers."""
    step = list(champions)[-1]
    cells = tuple(Cell(step=step, task=name, rows=7, oracle=1.0, routed=0.5, routing=0.5) for name in champions)
    return Results(cells=cells, outcomes=store.put(b"outcomes " + totals(champions)))


def ready(store: Store, ref: Ref, champions: Mapping[str, int]) -> Ready:
    """What the portfolio would be with that version as champion."""
    then = {**champions, ref.name: ref.version}
    measured = results(store, then)
    return Ready(
        name=ref.name,
        version=ref.version,
        surroundings="s" * 64,
        router=router_state(store, then),
        cells=measured.cells,
        outcomes=str(measured.outcomes),
    )


def champions(snapshot: Snapshot) -> dict[str, int]:
    """By task, in order, the version that answers."""
    found = champions_of(snapshot)
    return {task.name: found[task.name].version for task in snapshot.tasks}


# Changes


def add_task(store: Store, name: str) -> None:
    now = store.snapshot()
    then = {**champions(now), name: 1}
    store.commit_task(
        expected_generation=now.generation,
        task=task_record(store, name),
        adapters=[adapter_record(store, Ref(name, 1))],
        router=router_state(store, then),
        results=results(store, then),
    )


def remove_task(store: Store, name: str) -> None:
    now = store.snapshot()
    then = {task: version for task, version in champions(now).items() if task != name}
    store.commit_removal(
        expected_generation=now.generation,
        names=[name],
        router=router_state(store, then) if then else None,
        results=results(store, then) if then else Results(),
    )


def newest(snapshot: Snapshot, name: str) -> int:
    return max((adapter.version for adapter in snapshot.adapters if adapter.name == name), default=0)


def add_version(store: Store, name: str, detail: Detail) -> None:
    now = store.snapshot()
    ref = Ref(name, newest(now, name) + 1)
    store.releases.commit_versions(
        expected_generation=now.generation,
        adapters=[adapter_record(store, ref)],
        lineages=[lineage(store, ref, parent=f"{name}@{champions(now).get(name)}")],
        detail=detail,
    )


def judge(store: Store, ref: Ref, detail: Detail, outcome: str = "PASS") -> None:
    now = store.snapshot()
    verdict = VerdictRow(
        at="",
        name=ref.name,
        version=ref.version,
        adapter=adapter_record(store, ref).digest,
        outcome=outcome,
        digest=store.put(content(ref, f"verdict {outcome}")),
    )
    store.releases.commit_verdict(
        expected_generation=now.generation, verdict=verdict, ready=ready(store, ref, champions(now)), detail=detail
    )


def promote(store: Store, ref: Ref, detail: Detail, action: str = "promote") -> None:
    now = store.snapshot()
    before = champions(now)
    if before.get(ref.name) == ref.version:
        raise Conflict(f"{ref} is the champion already")
    then = {**before, ref.name: ref.version}
    store.releases.commit_promotion(
        expected_generation=now.generation,
        ref=ref,
        expected_champion=before.get(ref.name, 0),
        previous=before.get(ref.name),
        router=router_state(store, then),
        results=results(store, then),
        action=action,
        detail=detail,
        before=ready(store, Ref(ref.name, before.get(ref.name, 0)), before),
    )


def rollback(store: Store, name: str, detail: Detail) -> None:
    previous = aliases_of(store.snapshot(), name).get(PREVIOUS)
    if previous is None:
        raise Conflict(f"nothing to go back to from the champion of {name}")
    promote(store, Ref(name, previous), detail, "rollback")


def point(store: Store, name: str, alias: str, version: int | None, detail: Detail) -> None:
    now = store.snapshot()
    store.releases.commit_alias(
        expected_generation=now.generation,
        name=name,
        alias=alias,
        version=version,
        expected=aliases_of(now, name).get(alias),
        detail=detail,
    )


def disable(store: Store, name: str, instead: str | None, detail: Detail) -> None:
    generation = store.generation()
    store.releases.commit_disabled(expected_generation=generation, name=name, instead=instead, detail=detail)


def deprecate(store: Store, ref: Ref, why: str | None, detail: Detail) -> None:
    store.releases.commit_deprecated(expected_generation=store.generation(), ref=ref, why=why, detail=detail)


def try_out(store: Store, name: str, version: int | None, detail: Detail) -> None:
    share = None if version is None else Traffic(name=name, version=version, mode="canary", share=0.25, by="input")
    store.releases.commit_traffic(expected_generation=store.generation(), name=name, traffic=share, detail=detail)


def put_suite(store: Store, name: str, rows: int | None, detail: Detail) -> None:
    suite = None if rows is None else SuiteRow(name=name, digest=store.put(b"row\n" * rows), rows=rows, source="a file")
    store.releases.commit_suite(expected_generation=store.generation(), name=name, suite=suite, detail=detail)


def until_committed(change: Callable[[], None]) -> None:
    """Again and again, as long as another process is quicker."""
    while True:
        try:
            return change()
        except GenerationMoved:
            continue


# What must hold at any time


def contradictions(store: Store, snapshot: Snapshot) -> list[str]:
    """What is wrong with one reading: with a state that no change has made."""
    found = []
    versions = {adapter.ref: adapter for adapter in snapshot.adapters}
    found += [f"{alias.name}@{alias.alias} names nothing" for alias in snapshot.aliases if alias.ref not in versions]
    found += [f"{one.name} tries nothing" for one in snapshot.traffic if Ref(one.name, one.version) not in versions]
    named = {alias.name for alias in snapshot.aliases if alias.alias == "champion"}
    found += [f"{task.name} has no champion" for task in snapshot.tasks if task.name not in named]
    found += [f"{ref} is of no task" for ref in versions if ref.name not in {task.name for task in snapshot.tasks}]
    if found:
        return found
    answering = champions(snapshot)
    parts: list[tuple[str, bytes]] = [(one.digest, content(one.ref, "adapter")) for one in snapshot.adapters]
    for task in snapshot.tasks:
        ref = Ref(task.name, answering[task.name])
        if task.labels != (f"{ref}/no", f"{ref}/yes"):
            found.append(f"{ref} answers, but the task's labels are {task.labels}")
        parts += [(getattr(task, part), content(ref, part)) for part in ("centroids", "scatter", "evaluation")]
    if snapshot.router is not None:
        parts.append((snapshot.router.totals, totals(answering)))
    measured = [cell.task for cell in snapshot.cells if snapshot.tasks and cell.step == snapshot.tasks[-1].name]
    if sorted(measured) != sorted(answering):
        found.append(f"results of {measured}, but the tasks are {list(answering)}")
    found += _other_bytes(store, parts)
    return found


def _other_bytes(store: Store, parts: Sequence[tuple[str, bytes]]) -> list[str]:
    """Those whose bytes are not as expected; of a state that is over meanwhile, they may be gone."""
    found = []
    for digest, expected in parts:
        try:
            data = store.get(digest)
        except GenerationMoved:
            continue
        if data != expected:
            found.append(f"blob {digest} holds {data[:40]!r}, expected {expected[:40]!r}")
    return found

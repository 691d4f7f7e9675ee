"""Synthetic portfolios, in a test or in a process of its own that can be killed.

    python store_process.py forever DIRECTORY PREFIX    add and remove tasks without end
    python store_process.py fuse DIRECTORY PREFIX       add and remove fusions of the first two tasks without end
    python store_process.py add DIRECTORY PREFIX COUNT  add so many tasks, once a line came on standard input
    python store_process.py race DIRECTORY add|remove   add `fusion` made of `first`, or remove `first`, after a line
    python store_process.py die DIRECTORY N             create, add a task; SIGKILL itself at the N-th file operation
    python store_process.py limit DIRECTORY             add tasks under ever higher limits of the size of a file

A line on standard output acknowledges each committed change: `+NAME` or `-NAME`.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from portfolio.errors import Conflict, NotFound, Unwritable
from portfolio.records import (
    AdapterRecord,
    BaseContract,
    Cell,
    Compared,
    Member,
    Results,
    RouterState,
    Snapshot,
    Source,
    TaskRecord,
)
from portfolio.store import database
from portfolio.store.changes import GenerationMoved
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


# Records: everything about a task follows from its name, so that any reader can tell whether it is whole


def content(name: str, part: str) -> bytes:
    return f"{part} of {name}\n".encode() * 40


def task_record(store: Store, name: str, **changes: Any) -> TaskRecord:
    fields: dict[str, Any] = {
        "name": name,
        "kind": "classification",
        "labels": (f"{name}/no", f"{name}/yes"),
        "has_pairs": False,
        "columns": ("text", None, "label"),
        "sources": (Source(split="train", path=f"/data/{name}.jsonl", sha256="0" * 64, rows=7),),
        "seed": 3,
        "reading": "{}",
        "centroids": store.put(content(name, "centroids")),
        "scatter": store.put(content(name, "scatter")),
        "evaluation": store.put(content(name, "evaluation")),
    }
    return TaskRecord(**{**fields, **changes})


def adapter_record(store: Store, name: str, **changes: Any) -> AdapterRecord:
    fields: dict[str, Any] = {
        "name": name,
        "version": 1,
        "task": name,
        "digest": store.put(content(name, "adapter")),
        "method": "bottleneck",
        "config": '{"rank":4}',
        "training": '{"epochs":2}',
        "parameters": 100,
        "bytes": 400,
        "seconds": 1.5,
        "epochs": 2,
        "seed": 3,
        "validation_score": 0.75,
    }
    return AdapterRecord(**{**fields, **changes})


def member(adapter: AdapterRecord) -> Member:
    return Member(name=adapter.name, version=adapter.version, digest=adapter.digest)


def newest(store: Store, name: str) -> Member:
    """The newest version of a task's adapter, for a fusion to be made of."""
    return member([adapter for adapter in store.snapshot().adapters if adapter.task == name][-1])


def fusion_records(store: Store, name: str, members: Sequence[Member]) -> list[AdapterRecord]:
    """Two versions: the task's own adapter, and a fusion of these members and that."""
    own = adapter_record(store, name)
    fusion = adapter_record(
        store,
        name,
        version=2,
        digest=store.put(content(name, "fusion")),
        method="fusion",
        members=(*members, member(own)),
        comparison=(
            Compared(choice="own", made_of=name, score=0.5, parameters=0, seconds=0.25, p_value=0.125, is_kept=False),
            Compared(choice="fusion", made_of="all", score=1.0, parameters=9, seconds=2.5, p_value=None, is_kept=True),
        ),
        attention=store.put(content(name, "attention")),
    )
    return [own, fusion]


def router_state(store: Store, names: tuple[str, ...]) -> RouterState:
    totals = store.put("\n".join(sorted(names)).encode())
    return RouterState(totals=totals, threshold=float("-inf"), temperature=1.5, shrinkage=0.25)


def cells(step: str, names: tuple[str, ...]) -> list[Cell]:
    """A short row of the results matrix: the task itself and up to two before it."""
    return [Cell(step=step, task=name, rows=len(name), oracle=1.0, routed=0.5) for name in (*names[-2:], step)]


# Changes, tried again when another process was quicker


def add_task(store: Store, name: str) -> None:
    _add_task(store, name, [adapter_record(store, name)])


def add_fusion(store: Store, name: str, members: Sequence[Member]) -> None:
    """Add a task with the two versions of `fusion_records`."""
    _add_task(store, name, fusion_records(store, name, members))


def _add_task(store: Store, name: str, adapters: Sequence[AdapterRecord]) -> None:
    def change(snapshot: Snapshot) -> None:
        names = tuple(task.name for task in snapshot.tasks)
        store.commit_task(
            expected_generation=snapshot.generation,
            task=task_record(store, name),
            adapters=adapters,
            router=router_state(store, (*names, name)),
            results=Results(cells=tuple(cells(name, names))),
        )

    _until_committed(store, change)


def remove_task(store: Store, *going: str) -> None:
    def change(snapshot: Snapshot) -> None:
        names = tuple(task.name for task in snapshot.tasks if task.name not in going)
        store.commit_removal(
            expected_generation=snapshot.generation,
            names=going,
            router=router_state(store, names) if names else None,
            results=Results(cells=tuple(cells(names[-1], names[:-1]) if names else [])),
        )

    _until_committed(store, change)


def _until_committed(store: Store, change: Callable[[Snapshot], None]) -> None:
    while True:
        try:
            return change(store.snapshot())
        except GenerationMoved:
            continue


# What must hold at any time


def whole_tasks(store: Store) -> list[str]:
    """The names of the tasks, after checking that each is whole and that nothing contradicts the rest."""
    snapshot = store.snapshot()
    names = [task.name for task in snapshot.tasks]
    adapters = {adapter.ref: adapter for adapter in snapshot.adapters}
    for task in snapshot.tasks:
        assert task.labels == (f"{task.name}/no", f"{task.name}/yes")
        own, *fusions = (adapter for adapter in snapshot.adapters if adapter.task == task.name)
        parts = [
            ("centroids", task.centroids),
            ("scatter", task.scatter),
            ("evaluation", task.evaluation),
            ("adapter", own.digest),
        ]
        if "fusion" in task.name:
            [fusion] = fusions
            parts += [("fusion", fusion.digest), ("attention", str(fusion.attention))]
            assert fusion.members[-1] == member(own)
            assert all(adapters[found.ref].digest == found.digest for found in fusion.members)
            assert [compared.choice for compared in fusion.comparison] == ["own", "fusion"]
        else:
            assert not fusions
        for part, digest in parts:
            assert store.get(digest) == content(task.name, part)
        assert any(cell.step == cell.task == task.name for cell in snapshot.cells)
    assert (snapshot.router is None) == (not names)
    if snapshot.router is not None:
        assert store.get(snapshot.router.totals).decode().split("\n") == sorted(names)
    assert len(store.events()) == snapshot.generation + 1
    return names


def damage_found(store: Store) -> list[str]:
    return [fault.message for fault in store.verify() if fault.is_damage]


# Files that are quicker, or that stop working


def skip_syncs(set_attribute: Callable[[Any, str, Any], None]) -> None:
    """No fsync: only a cut of power would show the difference, and it takes most of the time."""
    set_attribute(os, "fsync", lambda descriptor: None)
    unsynced = tuple(setting.replace("synchronous = FULL", "synchronous = OFF") for setting in database.SETTINGS)
    set_attribute(database, "SETTINGS", unsynced)


def interrupt_files(set_attribute: Callable[[Any, str, Any], None], at: int, act: Callable[[], None]) -> list[str]:
    """Call `act` at the file operation number `at`, and at all after it. The list grows by each operation's name."""
    seen: list[str] = []

    def wrap(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **keywords: Any) -> Any:
            is_reading = name == "open" and not args[1] & os.O_CREAT
            if not is_reading:
                seen.append(name)
                if len(seen) >= at:
                    act()
            return original(*args, **keywords)

        return operation

    for name in ("open", "write", "fsync", "replace", "link", "mkdir"):
        set_attribute(os, name, wrap(name, getattr(os, name)))
    return seen


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# The processes


def _say(line: str) -> None:
    print(line, flush=True)


def _forever(directory: Path, prefix: str) -> None:
    store = Store.open(directory)
    _say("ready")
    for number in itertools.count():
        add_task(store, f"{prefix}{number}")
        _say(f"+{prefix}{number}")
        if number >= 2:
            remove_task(store, f"{prefix}{number - 2}")
            _say(f"-{prefix}{number - 2}")


def _fuse_forever(directory: Path, prefix: str) -> None:
    store = Store.open(directory)
    members = [member(adapter) for adapter in store.snapshot().adapters[:2]]
    _say("ready")
    for number in itertools.count():
        name = f"{prefix}fusion{number}"
        add_fusion(store, name, members)
        _say(f"+{name}")
        remove_task(store, name)
        _say(f"-{name}")


def _race(directory: Path, side: str) -> None:
    """Says `won`, or which error it was refused with."""
    skip_syncs(setattr)
    store = Store.open(directory)
    first = newest(store, "first")
    _say("ready")
    sys.stdin.readline()
    try:
        if side == "add":
            add_fusion(store, "fusion", [first])
        else:
            remove_task(store, "first")
    except (Conflict, NotFound) as error:
        _say(type(error).__name__)
    else:
        _say("won")


def _add(directory: Path, prefix: str, count: int) -> None:
    skip_syncs(setattr)
    store = Store.open(directory)
    _say("ready")
    sys.stdin.readline()  # so that two processes begin together
    for number in range(count):
        add_task(store, f"{prefix}{number}")
        _say(f"+{prefix}{number}")


def _die_at(directory: Path, at: int) -> None:
    skip_syncs(setattr)
    interrupt_files(setattr, at, _die)
    add_task(Store.create(directory, CONTRACT), "only")
    _say("+only")


def _under_limits(directory: Path) -> None:
    """A limit of a file's size makes every write of SQLite beyond it fail, as on a full disk."""
    skip_syncs(setattr)
    store = Store.create(directory, CONTRACT)
    add_task(store, "first")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number, limit in enumerate(range(0, 100_000, 8_000)):
        name = f"task{number}"
        before = whole_tasks(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            add_task(store, name)
            expected, outcome = [*before, name], "added"
        except Unwritable:
            expected, outcome = before, "refused"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert whole_tasks(store) == expected, f"under a limit of {limit} bytes"
        assert damage_found(store) == [], f"under a limit of {limit} bytes"
        if name in expected:
            remove_task(store, name)
        _say(outcome)


if __name__ == "__main__":
    mode, directory, *rest = sys.argv[1:]
    if mode == "forever":
        _forever(Path(directory), rest[0])
    elif mode == "fuse":
        _fuse_forever(Path(directory), rest[0])
    elif mode == "race":
        _race(Path(directory), rest[0])
    elif mode == "add":
        _add(Path(directory), rest[0], int(rest[1]))
    elif mode == "die":
        _die_at(Path(directory), int(rest[0]))
    else:
        _under_limits(Path(directory))

"""Synthetic portfolios, in a test or in a process of its own that can be killed.

    python store_process.py forever DIRECTORY PREFIX    add and remove tasks without end
    python store_process.py add DIRECTORY PREFIX COUNT  add so many tasks, once a line came on standard input
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from portfolio.errors import Unwritable
from portfolio.records import AdapterRecord, BaseContract, Cell, RouterState, Snapshot, Source, TaskRecord
from portfolio.store import database
from portfolio.store.store import GenerationMoved, Store

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


def router_state(store: Store, names: tuple[str, ...]) -> RouterState:
    totals = store.put("\n".join(sorted(names)).encode())
    return RouterState(totals=totals, threshold=float("-inf"), temperature=1.5, shrinkage=0.25)


def cells(step: str, names: tuple[str, ...]) -> list[Cell]:
    """A short row of the results matrix: the task itself and up to two before it."""
    return [Cell(step=step, task=name, rows=len(name), oracle=1.0, routed=0.5) for name in (*names[-2:], step)]


# Changes, tried again when another process was quicker


def add_task(store: Store, name: str) -> None:
    def change(snapshot: Snapshot) -> None:
        names = tuple(task.name for task in snapshot.tasks)
        store.commit_task(
            expected_generation=snapshot.generation,
            task=task_record(store, name),
            adapter=adapter_record(store, name),
            router=router_state(store, (*names, name)),
            cells=cells(name, names),
        )

    _until_committed(store, change)


def remove_task(store: Store, name: str) -> None:
    def change(snapshot: Snapshot) -> None:
        names = tuple(task.name for task in snapshot.tasks if task.name != name)
        store.commit_removal(
            expected_generation=snapshot.generation,
            name=name,
            router=router_state(store, names) if names else None,
            cells=cells(names[-1], names[:-1]) if names else [],
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
    assert [adapter.task for adapter in snapshot.adapters] == names
    for task, adapter in zip(snapshot.tasks, snapshot.adapters, strict=True):
        assert task.labels == (f"{task.name}/no", f"{task.name}/yes")
        for part, digest in (
            ("centroids", task.centroids),
            ("scatter", task.scatter),
            ("evaluation", task.evaluation),
            ("adapter", adapter.digest),
        ):
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
    elif mode == "add":
        _add(Path(directory), rest[0], int(rest[1]))
    elif mode == "die":
        _die_at(Path(directory), int(rest[0]))
    else:
        _under_limits(Path(directory))

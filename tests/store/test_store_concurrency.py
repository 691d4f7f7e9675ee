"""Many threads and processes on one portfolio."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from portfolio.store.store import Store

Start = Callable[..., "subprocess.Popen[str]"]


def test_two_processes_that_add_at_once_both_succeed(store: Store, synthetic: ModuleType, start: Start) -> None:
    processes = [start("add", store.path, prefix, 5) for prefix in ("a", "b")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process, prefix in zip(processes, ("a", "b"), strict=True):
        said, complaint = process.communicate(timeout=60)
        assert complaint == ""
        assert said.split() == [f"+{prefix}{number}" for number in range(5)]
    names = synthetic.whole_tasks(store)
    assert sorted(names) == [f"{prefix}{number}" for prefix in "ab" for number in range(5)]
    assert [name for name in names if name.startswith("a")] == [f"a{number}" for number in range(5)]
    assert store.generation() == 10
    assert synthetic.damage_found(store) == []


def test_of_a_fusion_and_the_removal_of_its_member_exactly_one_wins(
    tmp_path: Path, synthetic: ModuleType, start: Start
) -> None:
    """Whichever comes first; the other one is refused, and the portfolio is sound."""
    for number in range(4):
        store = Store.create(tmp_path / f"portfolio{number}", synthetic.CONTRACT)
        for name in ("first", "second"):
            synthetic.add_task(store, name)
        processes = [start("race", store.path, side) for side in ("add", "remove")]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes if number % 2 else reversed(processes):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outcomes = []
        for process in processes:
            said, complaint = process.communicate(timeout=60)
            assert complaint == ""
            outcomes.append(said.strip())
        names = synthetic.whole_tasks(store)
        assert (outcomes, names) in [
            (["won", "Conflict"], ["first", "second", "fusion"]),
            (["NotFound", "won"], ["second"]),
        ]
        assert synthetic.damage_found(store) == []


def test_threads_share_a_store_and_every_reading_is_whole(store: Store, synthetic: ModuleType) -> None:
    done = threading.Event()

    def read() -> int:
        readings = 0
        while not done.is_set():
            snapshot = store.snapshot()
            names = {task.name for task in snapshot.tasks}
            assert len(names) == len(snapshot.adapters) == snapshot.generation
            assert {cell.step for cell in snapshot.cells} == names
            assert (snapshot.router is None) == (not names)
            readings += 1
        return readings

    def add(prefix: str) -> None:
        for number in range(4):
            synthetic.add_task(store, f"{prefix}{number}")

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        writers = [threads.submit(add, prefix) for prefix in "abc"]
        try:
            for writer in writers:
                writer.result(timeout=60)
        finally:
            done.set()
        assert all(reader.result(timeout=60) > 0 for reader in readers)
    assert len(synthetic.whole_tasks(store)) == 12
    assert synthetic.damage_found(store) == []


def test_a_store_may_be_used_in_a_thread_that_did_not_open_it(two_tasks: Store, synthetic: ModuleType) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(synthetic.add_task, two_tasks, "third").result(timeout=60)
    assert synthetic.whole_tasks(two_tasks) == ["first", "second", "third"]


def test_verifying_while_another_adds_finds_no_damage(store: Store, synthetic: ModuleType) -> None:
    def add() -> None:
        for number in range(6):
            synthetic.add_task(store, f"task{number}")

    with ThreadPoolExecutor(1) as threads:
        adding = threads.submit(add)
        checked = 0
        while not adding.done():
            assert synthetic.damage_found(store) == []
            checked += 1
        adding.result(timeout=60)
    assert checked > 0

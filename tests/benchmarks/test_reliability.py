"""Some seconds of the benchmark that kills processes at random; and that it would see what it looks for."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.records import Alias
from portfolio.refs import Ref
from portfolio.store.store import Store

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SAID = {"by": "ann", "why": "w1-1"}


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """The script, whose neighbours it imports by name."""
    before = list(sys.path)
    sys.path.append(str(BENCHMARKS))
    yield importlib.import_module("reliability")
    sys.path[:] = before


@pytest.fixture
def store(tmp_path: Path, benchmark: ModuleType) -> Store:
    """The tasks that the script begins with, and a promotion."""
    store = Store.create(tmp_path / "portfolio", benchmark.made.CONTRACT)
    for name in ("a", "b", "c"):
        benchmark.made.add_task(store, name)
    benchmark.made.add_version(store, "a", {**SAID, "why": "w0-1"})
    benchmark.made.promote(store, Ref("a", 2), SAID)
    return store


def test_processes_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    """Each change that was acknowledged is in the history once, and the history adds up to a whole state."""
    into = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, str(BENCHMARKS / "reliability.py"), "--into", str(into)),
            *("--seconds", "5", "--processes", "4", "--seed", "7"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(into.read_text())
    assert (figures["wrong"], figures["lost"]) == ([], 0)
    assert figures["kills"] > figures["processes"]
    assert figures["acknowledged"] > 0


def judged(benchmark: ModuleType, store: Store, *keys: str) -> list[str]:
    noted = [benchmark.Note(kind="did", what="promote", key=key) for key in keys]
    wrong: list[str] = benchmark.judged(store.path, noted, 1)["wrong"]
    return wrong


def test_what_was_acknowledged_and_is_there_is_not_wrong(benchmark: ModuleType, store: Store) -> None:
    assert judged(benchmark, store, "w0-1", "w1-1") == []
    assert judged(benchmark, store, "w0-1") == []  # killed before it could say so


def test_a_lost_change_is_seen(benchmark: ModuleType, store: Store) -> None:
    assert "w9-9 was acknowledged, but is not in the history" in judged(benchmark, store, "w0-1", "w1-1", "w9-9")


def test_a_change_made_twice_is_seen(benchmark: ModuleType, store: Store) -> None:
    benchmark.made.promote(store, Ref("a", 1), SAID)
    assert "w1-1 is in the history more than once" in judged(benchmark, store, "w0-1", "w1-1")


def test_more_changes_than_anybody_could_have_made_are_seen(benchmark: ModuleType, store: Store) -> None:
    assert judged(benchmark, store) == ["2 changes that nobody noted, after 1 kills"]


def test_a_state_that_the_history_does_not_add_up_to_is_seen(benchmark: ModuleType, store: Store) -> None:
    now, replayed = store.snapshot(), benchmark.replay(store.events())
    assert benchmark.differences(replayed, now, {}, []) == []
    moved = [Alias(name="a", alias="stable", version=1), *now.aliases]
    [fault] = benchmark.differences(replayed, dataclasses.replace(now, aliases=tuple(moved)), {}, [])
    assert "but it is" in fault
    assert len(benchmark.differences(replayed, dataclasses.replace(now, tasks=now.tasks[1:]), {}, [])) == 1
    assert len(benchmark.differences(replayed, now, {"style": "0" * 64}, [("a@2", "0" * 64)])) == 2


def test_an_update_that_was_lost_between_two_others_is_seen(benchmark: ModuleType, store: Store) -> None:
    """As if the promotion had been made of a state in which another version answered."""
    *before, last = store.events()
    detail = {**json.loads(last.detail), "from": "a@7"}
    events = [*before, dataclasses.replace(last, detail=json.dumps(detail))]
    assert benchmark.replay(events).faults == ["event 5 moves champion from a@7, but it was at a@1"]
    without = [*before[:-1], last]
    assert len(benchmark.replay(without).faults) == 2  # a version that never came, and a generation left out


def test_a_state_between_two_is_seen(benchmark: ModuleType, store: Store) -> None:
    """The task, the router or the results of one champion, with the alias of another."""
    now = store.snapshot()
    assert benchmark.made.contradictions(store, now) == []
    one = Alias(name="a", alias="champion", version=1)
    rest = tuple(alias for alias in now.aliases if (alias.name, alias.alias) != ("a", "champion"))
    for wrong in (
        dataclasses.replace(now, aliases=(one, *rest)),
        dataclasses.replace(now, aliases=rest),
        dataclasses.replace(now, aliases=(*now.aliases, Alias(name="a", alias="stable", version=9))),
        dataclasses.replace(now, tasks=now.tasks[:2]),
        dataclasses.replace(now, cells=now.cells[:-1]),
    ):
        assert benchmark.made.contradictions(store, wrong) != []

"""One run, task by task: what is kept of it, how it goes on, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Method, Settings
from portfolio.compare.memory import watched_peak
from portfolio.compare.pace import Pace
from portfolio.compare.prepare import world_of
from portfolio.compare.results import read_notes, read_step
from portfolio.compare.trial import Watcher, finished, run_trial
from portfolio.compare.world import World
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.tasks.sequences import Sequence

MethodOf = Callable[..., Method]


@pytest.fixture
def world(tiny_base: Base, toy_sequence: Sequence) -> Iterator[World]:
    host = Host(tiny_base, trunk=2)
    yield world_of(host, 16, toy_sequence, Budget(per_class=4, epochs=1, trials=1), 0)
    host.detach()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(world: World, tmp_path: Path, said: list[str]) -> Callable[..., Any]:
    """`run_trial` in this test's directory, by a clock that moves a second each time it is read."""
    seconds = iter(range(1000))
    watcher = Watcher(say=said.append, step=lambda number, took: None, clock=lambda: float(next(seconds)))
    return lambda method: run_trial(method, world, Settings(rate=0.5, epochs=1), tmp_path, watcher)


def test_after_each_task_the_tests_of_all_tasks_so_far_are_answered(
    run: Callable[..., Any], rote: MethodOf, world: World, tmp_path: Path
) -> None:
    notes = run(rote("one"))
    for number in range(3):
        step = read_step(tmp_path, number)
        assert sorted(step.free) == list(range(number + 1))
        for task in range(number + 1):
            truth = world.tasks[task].test.labels.numpy()
            right = round((0.75 - 0.05 * number) * len(truth))  # what `Rote` knows by heart
            assert int((step.free[task] == truth).sum()) == right
            assert np.array_equal(step.given[task], truth)
        assert step.parameters == 100 * (number + 1) and step.seconds == 1.0
    assert notes == read_notes(tmp_path)
    assert (notes.rate, notes.seconds, notes.parameters, notes.numbers, notes.texts) == (0.5, (1.0,) * 3, 300, 7, 0)


def test_when_it_is_done_only_answers_and_costs_stay(run: Callable[..., Any], rote: MethodOf, tmp_path: Path) -> None:
    run(rote("one", in_directory=True))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"run.json", *(f"task-{number}.safetensors" for number in range(3))}


def test_a_joint_method_learns_once_and_answers_everything(
    run: Callable[..., Any], rote: MethodOf, diary: Any, tmp_path: Path
) -> None:
    run(rote("all", is_joint=True))
    assert [number for *_, number in diary.learned] == [2]
    assert sorted(read_step(tmp_path, 2).free) == [0, 1, 2] and not (tmp_path / "task-0.safetensors").exists()


def test_the_validation_score_is_read_as_the_method_is(run: Callable[..., Any], rote: MethodOf, tmp_path: Path) -> None:
    free = run(rote("one")).validation_score
    (tmp_path / "run.json").unlink()
    given = run(rote("one", knows_task=True)).validation_score
    assert free == pytest.approx(0.5) and given == 1.0  # 0.65 of two rows, rounded, in each task


@pytest.mark.parametrize("torn", ["state.safetensors", "task-0.safetensors"])
def test_a_run_whose_files_were_torn_begins_again_and_says_so(
    run: Callable[..., Any], rote: MethodOf, diary: Any, said: list[str], tmp_path: Path, torn: str
) -> None:
    diary.stop_before = 2
    with pytest.raises(KeyboardInterrupt):
        run(rote("one"))
    path = tmp_path / torn
    path.write_bytes(path.read_bytes()[:-9])
    diary.stop_before = None
    diary.learned.clear()
    run(rote("one"))
    assert [number for *_, number in diary.learned] == [0, 1, 2]
    assert len(said) == 1 and torn in said[0] and "this run begins again" in said[0]


def test_a_run_that_was_stopped_before_its_end_is_not_finished(
    run: Callable[..., Any], rote: MethodOf, diary: Any, said: list[str], tmp_path: Path
) -> None:
    diary.stop_before = 1
    with pytest.raises(KeyboardInterrupt):
        run(rote("one"))
    assert finished(rote("one"), tmp_path, 3, said.append) is None and said == []


def test_training_that_diverges_ends_the_run_without_answers(
    run: Callable[..., Any], rote: MethodOf, diary: Any, said: list[str], tmp_path: Path
) -> None:
    diary.diverging = frozenset({0.5})
    notes = run(rote("one"))
    assert notes.diverged == "the loss is NaN" and notes.validation_score is None and notes.seconds == ()
    assert finished(rote("one"), tmp_path, 3, said.append) == notes
    assert said == ["one diverged: the loss is NaN"]


def test_the_peak_of_memory_is_that_since_the_watch_began(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tx\nVmPeak:\t 9000 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   12 kB\n")
    peak = watched_peak(tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5"
    assert peak() == 2048 * 1024


def test_where_the_system_tells_no_peak_there_is_none(tmp_path: Path) -> None:
    assert watched_peak(tmp_path / "missing")() is None


def test_what_is_left_goes_by_each_methods_own_pace_and_by_the_mean_of_all_where_it_has_none() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.plan("slow", 4)
    pace.plan("quick", 4)
    pace.plan("unknown", 2)
    assert pace.seconds_left() is None and "left" not in str(pace)
    now[0] = 44.0
    pace.done("slow", 2, 40.0)
    pace.done("quick", 2, 4.0)
    assert pace.seconds_left() == pytest.approx(2 * 20 + 2 * 2 + 2 * 11)
    assert str(pace) == "4 of 10 tasks, 44 s so far, about 1 min 06 s left"
    pace.skip("unknown", 2)
    assert pace.seconds_left() == pytest.approx(44)

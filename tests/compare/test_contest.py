"""A contest: its orders and sweep, that it goes on where it stopped, and that it refuses what does not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from portfolio.compare.budget import Budget
from portfolio.compare.contest import compare, orders_of
from portfolio.compare.contestant import Method
from portfolio.compare.results import load_contest
from portfolio.errors import ConfigError, NotFound
from portfolio.hosting.base import Base
from portfolio.reports.runs import Contest
from portfolio.reports.standings import standings_of
from portfolio.reports.standings_words import budget_in_words
from portfolio.tasks.sequences import Sequence

MethodOf = Callable[..., Method]
Compare = Callable[..., Contest]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def compared(tiny_base: Base, toy_sequence: Sequence, tmp_path: Path, said: list[str]) -> Compare:
    """`compare` in this test's directory: two orders, two seeds, two trials."""

    def run(*methods: Method, **changed: Any) -> Contest:
        settings: dict[str, Any] = {
            "names": [method.name for method in methods],
            "table": {method.name: method for method in methods},
            "same_run": {},
            "orders": 2,
            "seeds": 2,
            "budget": Budget(per_class=4, epochs=1, trials=2),
            "directory": tmp_path / "contest",
            "say": said.append,
        }
        sequence = changed.pop("sequence", toy_sequence)
        return compare(sequence, base=tiny_base, **{**settings, **changed})

    return run


def figures(contest: Contest) -> Mapping[tuple[str, str, int], Any]:
    """All answers of all runs, as lists."""
    return {
        (run.method, run.order.name, run.seed): {
            number: ({t: a.tolist() for t, a in step.free.items()}, {t: a.tolist() for t, a in step.given.items()})
            for number, step in run.steps.items()
        }
        for run in contest.runs
    }


def test_every_method_runs_in_every_order_with_every_seed(compared: Compare, rote: MethodOf, diary: Any) -> None:
    contest = compared(rote("one"), rote("all", is_joint=True))
    written, shuffled = (order.tasks for order in contest.terms.orders)
    assert written == ("garden", "kitchen", "harbour") != shuffled and set(shuffled) == set(written)
    assert len(contest.runs) == 2 * 2 * 2
    for run in contest.runs:
        assert sorted(run.steps) == ([0, 1, 2] if run.method == "one" else [2])
        for number, step in run.steps.items():
            assert sorted(step.free) == sorted(step.given) == list(range(number + 1))
    trials = {(name, rate, order, seed) for name, rate, order, seed, _ in diary.learned}
    assert len(trials) == 2 * (2 * 2 + 1)  # each method runs four times, and once more with the rate that lost


def test_the_best_rate_on_validation_serves_all_runs_and_its_trial_is_not_run_again(
    compared: Compare, rote: MethodOf, diary: Any
) -> None:
    contest = compared(rote("one", rates=(0.25, 0.75, 0.5)))
    sweep = contest.sweeps["one"]
    assert (sweep.rates, sweep.chosen) == ((0.25, 0.75), 0.75)  # the third is beyond the budget's two trials
    assert sweep.scores[0] < sweep.scores[1]
    assert {run.notes.rate for run in contest.runs} == {0.75}
    assert len(diary.learned) == 3 * (4 + 1)


def test_a_contest_that_is_done_is_read_and_not_run(compared: Compare, rote: MethodOf, diary: Any) -> None:
    first = compared(rote("one"))
    done = len(diary.learned)
    again = compared(rote("one"))
    assert len(diary.learned) == done and figures(again) == figures(first)


@pytest.mark.parametrize("in_directory", [False, True])
def test_a_contest_stopped_after_any_task_goes_on_to_the_same_results(
    compared: Compare, rote: MethodOf, diary: Any, in_directory: bool, tmp_path: Path
) -> None:
    method = rote("one", in_directory=in_directory)
    whole = compared(method, directory=tmp_path / "whole")
    learned = list(diary.learned)
    diary.learned.clear()
    for _ in range(len(learned) - 1):
        diary.stop_before = 1
        with pytest.raises(KeyboardInterrupt):
            compared(method)
    diary.stop_before = None
    assert figures(compared(method)) == figures(whole)
    assert diary.learned == learned  # and nothing was learned twice


def test_methods_can_be_added_later(compared: Compare, rote: MethodOf, diary: Any) -> None:
    compared(rote("one"))
    diary.learned.clear()
    contest = compared(rote("two"))
    assert {name for name, *_ in diary.learned} == {"two"}
    assert {run.method for run in contest.runs} == {"one", "two"}


def test_orders_and_seeds_can_be_added_later_and_stay(compared: Compare, rote: MethodOf, diary: Any) -> None:
    first = figures(compared(rote("one")))
    diary.learned.clear()
    more = compared(rote("one"), orders=3, seeds=3)
    assert len(more.runs) == 9
    assert first.items() <= figures(more).items()
    diary.learned.clear()
    fewer = compared(rote("one"), orders=1, seeds=1)
    assert (diary.learned, len(fewer.runs)) == ([], 9)


def test_a_cut_of_the_test_rows_is_kept_with_the_contest_and_said(compared: Compare, rote: MethodOf) -> None:
    contest = compared(rote("one"), budget=Budget(per_class=4, epochs=1, trials=1, test_rows=3), orders=1, seeds=1)
    assert contest.terms.test_rows == 3 and {len(rows) for rows in contest.truth.values()} == {3}
    assert "about 3 test rows a task" in budget_in_words(standings_of(contest))


def test_another_comparison_in_the_same_directory_is_refused_naming_what_differs(
    compared: Compare, rote: MethodOf, toy_sequence: Sequence
) -> None:
    compared(rote("one"))
    with pytest.raises(ConfigError, match="epochs 1, now 2"):
        compared(rote("one"), budget=Budget(per_class=4, epochs=2, trials=2))
    with pytest.raises(ConfigError, match="test_rows None, now 3"):
        compared(rote("one"), budget=Budget(per_class=4, epochs=1, trials=2, test_rows=3))
    shorter = dataclasses.replace(toy_sequence, tasks=toy_sequence.tasks[:2])
    with pytest.raises(ConfigError, match="digest"):
        compared(rote("one"), sequence=shorter)


def test_a_rate_that_diverges_is_the_worst_and_a_method_without_any_other_has_no_runs(
    compared: Compare, rote: MethodOf, diary: Any, said: list[str]
) -> None:
    diary.diverging = frozenset({0.5, 0.75})
    contest = compared(rote("one"), rote("none", rates=(0.5, 0.75)))
    assert contest.sweeps["one"].scores[1] is None and contest.sweeps["one"].chosen == 0.25
    assert contest.sweeps["none"].chosen is None
    assert {run.method for run in contest.runs} == {"one"}
    assert any("none works" in line for line in said)


def test_a_method_that_reads_another_ones_runs_makes_that_one_run(
    compared: Compare, rote: MethodOf, diary: Any
) -> None:
    table = {"portfolio": rote("portfolio"), "oracle": rote("oracle", knows_task=True)}
    contest = compared(names=["oracle"], table=table, same_run={"oracle": "portfolio"})
    assert {name for name, *_ in diary.learned} == {"portfolio"}
    assert [entry.name for entry in contest.entries] == ["oracle"] and len(contest.runs) == 4


def test_a_method_without_rates_is_run_without_a_sweep(compared: Compare, rote: MethodOf, diary: Any) -> None:
    contest = compared(rote("floor", rates=()))
    assert "floor" not in contest.sweeps and len(diary.learned) == 4 * 3
    assert {run.notes.rate for run in contest.runs} == {None}


def test_a_damaged_file_of_a_run_makes_that_run_again_and_says_so(
    compared: Compare, rote: MethodOf, diary: Any, said: list[str], tmp_path: Path
) -> None:
    before = figures(compared(rote("one")))
    for run in ("order-written.seed-0", "order-shuffled-1.seed-1"):  # that of the sweep, and another
        (tmp_path / "contest" / "one" / run / "task-1.safetensors").write_bytes(b"torn")
    assert len(load_contest(tmp_path / "contest").runs) == 2 and len(load_contest(tmp_path / "contest").faults) == 2
    diary.learned.clear()
    said.clear()
    assert figures(compared(rote("one"))) == before
    assert len(diary.learned) == 2 * 3
    assert sum("task-1.safetensors is missing or damaged" in line for line in said) == 2


def test_each_task_is_one_line_with_what_is_done_and_what_is_left(
    compared: Compare, rote: MethodOf, said: list[str]
) -> None:
    ticks = iter(range(10_000))
    compared(rote("one"), clock=lambda: float(next(ticks)))
    lines = [line for line in said if line.startswith("[")]
    assert len(lines) == 3 * 5
    assert lines[0].startswith("[1 of 15 tasks, ") and lines[0].endswith(
        "one, order written, seed 0, rate 0.25: garden"
    )
    assert "[15 of 15 tasks" in lines[-1] and "about 0.0 s left" in lines[-1]


def test_an_unknown_method_is_refused_with_the_names_of_all(compared: Compare, rote: MethodOf) -> None:
    with pytest.raises(NotFound, match="no method 'magic'; the methods: one"):
        compared(names=["magic"], table={"one": rote("one")})


def test_named_orders_come_first_and_shuffled_ones_all_differ(toy_sequence: Sequence) -> None:
    written = tuple(spec.name for spec in toy_sequence.tasks)
    named = dataclasses.replace(toy_sequence, orders=(("A", written[::-1]), ("B", written)))
    assert [order.name for order in orders_of(named, 2)] == ["A", "B"]
    everything = orders_of(named, 6)
    assert len({order.tasks for order in everything}) == 6
    assert [order.name for order in everything[:2]] == ["A", "B"]
    assert orders_of(toy_sequence, 3) == orders_of(toy_sequence, 6)[:3]
    with pytest.raises(ConfigError, match="orders must be 1 to 6, as there are 3 tasks; got 7"):
        orders_of(toy_sequence, 7)

"""Standings: every figure is that of the raw answers, means and differences are over the right runs, and words say so."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from portfolio.errors import ConfigError
from portfolio.reports.runs import Contest, Entry, Order, Run, RunNotes, Step, Sweep, Terms
from portfolio.reports.standings import FREE, GIVEN, Standings, standings_of
from portfolio.reports.standings_curves import draw_curves
from portfolio.reports.standings_files import COLUMNS, standings_to_csv, standings_to_dict, standings_to_markdown
from portfolio.reports.standings_terminal import print_standings
from portfolio.reports.standings_words import standings_in_words

ROWS = {"a": 10, "b": 20}  # test rows; all of class 0 or 1
ORDERS = (Order(name="written", tasks=("a", "b")), Order(name="turned", tasks=("b", "a")))
Right = Sequence[Mapping[str, float]]  # after each step, by task, the share of right answers


def answers(right: float, task: str) -> Any:
    """Of ROWS[task] rows, so many right."""
    truth = np.full(ROWS[task], "ab".index(task), np.int32)
    wrong = np.arange(len(truth)) >= round(right * len(truth))
    return np.where(wrong, truth + 5, truth).astype(np.int32)


def run(method: str, free: Right, given: Right | None = None, *, order: int = 0, seed: int = 0, **changed: Any) -> Run:
    """A run with these scores; of one step: a joint one."""
    tasks = ORDERS[order].tasks
    first = len(tasks) - len(free)
    given = given if given is not None else [dict.fromkeys(scores, 1.0) for scores in free]
    steps = {
        first + number: Step(
            free={tasks.index(task): answers(right, task) for task, right in scores.items()},
            given={tasks.index(task): answers(right, task) for task, right in told.items()},
            seconds=2.0,
            peak_bytes=10**9,
            parameters=1000,
            numbers=0,
            texts=0,
        )
        for number, (scores, told) in enumerate(zip(free, given, strict=True))
    }
    fields: dict[str, Any] = {"rate": 0.001, "seconds": (2.0,) * len(steps), "peak_bytes": 10**9, "parameters": 1000}
    notes = RunNotes(**{**fields, "numbers": 0, "texts": 0, "validation_score": 0.5, **changed})
    return Run(method=method, order=ORDERS[order], seed=seed, notes=notes, steps={} if notes.diverged else steps)


def contest(
    *runs: Run,
    orders: int = 1,
    seeds: int = 1,
    knows_task: Sequence[str] = (),
    sweeps: Mapping[str, Sweep] | None = None,
) -> Contest:
    names = dict.fromkeys([*(one.method for one in runs), *(sweeps or {})])
    terms = Terms(
        sequence="letters",
        digest="d" * 64,
        base="tiny",
        fingerprint="f" * 64,
        per_class=20,
        epochs=5,
        trials=3,
        orders=ORDERS[:orders],
        seeds=tuple(range(seeds)),
        versions=(),
    )
    entries = tuple(
        Entry(
            name=name,
            words=f"words of {name}",
            source="a paper",
            is_joint=name.startswith("joint"),
            knows_task=name in knows_task,
        )
        for name in names
    )
    truth = {task: np.full(rows, "ab".index(task), np.int32) for task, rows in ROWS.items()}
    return Contest(terms=terms, truth=truth, entries=entries, sweeps=sweeps or {}, runs=runs)


SINKING: Right = [{"a": 0.9}, {"a": 0.4, "b": 0.8}]
STEADY: Right = [{"a": 0.9}, {"a": 0.9, "b": 0.9}]


def figure(standings: Standings, reading: str, method: str, name: str) -> float:
    standing = standings.of(reading, method)
    assert standing is not None
    mean = standing.figures[name]
    assert mean is not None
    return mean.mean


def test_the_figures_of_a_run_are_those_of_its_results_matrix() -> None:
    standings = standings_of(contest(run("one", SINKING)))
    [free, given] = standings.readings
    assert free.results.tolist()[1] == [0.4, 0.8] and free.results[0, 0] == 0.9 and math.isnan(free.results[0, 1])
    expected = {
        "average_accuracy": 0.6,
        "micro_average_accuracy": (4 + 16) / 30,
        "average_incremental_accuracy": (0.9 + 0.6) / 2,
        "plasticity": 0.85,
        "worst_task": 0.4,
        "bwt": -0.5,
        "forgetting": 0.5,
    }
    assert free.figures == pytest.approx({**expected, "intransigence": None}) and free.steps == pytest.approx(
        (0.9, 0.6)
    )
    assert given.figures["average_accuracy"] == 1.0 and given.figures["forgetting"] == 0.0
    assert {name: figure(standings, FREE, "one", name) for name in expected} == pytest.approx(expected)


def test_intransigence_is_held_against_the_joint_run_of_the_same_order_and_seed() -> None:
    joint, other = run("joint-full", [{"a": 0.8, "b": 1.0}]), run("joint-full", [{"a": 0.1, "b": 0.1}], seed=1)
    made = standings_of(contest(run("one", SINKING), joint, other, seeds=2))
    assert figure(made, FREE, "one", "intransigence") == pytest.approx((0.8 - 0.9 + 1.0 - 0.8) / 2)
    assert all(one.figures["intransigence"] is None for one in made.readings if one.method == "joint-full")


def test_an_order_puts_each_answer_to_its_own_task() -> None:
    standings = standings_of(contest(run("one", [{"b": 0.5}, {"b": 0.25, "a": 0.7}], order=1), orders=2))
    reading = standings.readings[0]
    assert reading.tasks == ("b", "a") and reading.results.tolist()[1] == [0.25, 0.7]


def test_an_answer_below_zero_to_a_row_of_unknown_label_is_not_right() -> None:
    one = run("one", STEADY)
    truth = {"a": np.full(10, -1, np.int32), "b": np.ones(20, np.int32)}
    unknown = {0: np.full(10, -1, np.int32), 1: np.ones(20, np.int32)}
    step = Step(free=unknown, given=unknown, seconds=0, peak_bytes=None, parameters=0, numbers=0, texts=0)
    torn = Run(method="one", order=one.order, seed=0, notes=one.notes, steps={1: step})
    whole = contest(one)
    made = Contest(terms=whole.terms, truth=truth, entries=whole.entries, sweeps={}, runs=(torn,))
    assert standings_of(made).readings[0].results.tolist()[1] == [0.0, 1.0]


def test_a_joint_method_has_no_figures_over_steps() -> None:
    standings = standings_of(contest(run("joint-full", [{"a": 0.8, "b": 1.0}])))
    [free] = standings.free
    assert figure(standings, FREE, "joint-full", "average_accuracy") == pytest.approx(0.9)
    assert figure(standings, FREE, "joint-full", "worst_task") == pytest.approx(0.8)
    for name in ("average_incremental_accuracy", "plasticity", "bwt", "forgetting"):
        assert free.figures[name] is None
    assert free.steps == (None, pytest.approx(0.9))


def test_means_are_over_runs_with_the_interval_of_student() -> None:
    accuracies = [0.5, 0.6, 0.9]
    runs = [run("one", [{"a": 0.9}, {"a": share, "b": share}], seed=seed) for seed, share in enumerate(accuracies)]
    [one] = standings_of(contest(*runs, seeds=3)).free
    mean = one.figures["average_accuracy"]
    assert mean is not None and mean.interval is not None and mean.runs == one.runs == 3
    reach = 4.302653 * statistics.stdev(accuracies) / math.sqrt(3)  # t(0.975, 2), from a printed table
    assert (mean.mean, mean.interval.low, mean.interval.high) == pytest.approx((2 / 3, 2 / 3 - reach, 2 / 3 + reach))


def test_differences_to_the_portfolio_are_paired_by_order_and_seed() -> None:
    shares = {(0, 0): 0.9, (1, 0): 0.5, (0, 1): 0.7}
    runs = [
        run(method, [{ORDERS[order].tasks[0]: 1.0}, dict.fromkeys("ab", share - less)], order=order, seed=seed)
        for (order, seed), share in shares.items()
        for method, less in (("portfolio", 0.0), ("other", 0.1 + 0.2 * order))
        if (method, order, seed) != ("other", 0, 1)  # a run that only the portfolio has
    ]
    standings = standings_of(contest(*runs, orders=2, seeds=2))
    other = standings.of(FREE, "other")
    assert other is not None and other.against is not None and other.against.runs == 2
    assert other.against.mean == pytest.approx(-0.2)
    reach = 12.7062 * 0.1  # t(0.975, 1), from a printed table
    assert other.against.interval is not None and other.against.interval.high == pytest.approx(reach - 0.2, abs=1e-4)
    portfolio = standings.of(FREE, "portfolio")
    assert portfolio is not None and portfolio.against is None
    assert dict(standings.unfinished) == {"portfolio": 1, "other": 2}


@pytest.mark.parametrize(
    ("share_of", "independent"),
    [
        (lambda order, seed: 0.9 - 0.2 * seed, 2),  # the same in every order
        (lambda order, seed: 0.9 - 0.2 * order, 2),  # the same with every seed
        (lambda order, seed: 0.9 - 0.2 * order * seed, 4),
        (lambda order, seed: 0.9, 2),
    ],
)
def test_runs_that_could_not_have_come_out_differently_count_once(
    share_of: Callable[[int, int], float], independent: int
) -> None:
    runs = [
        run("one", [{ORDERS[order].tasks[0]: 1.0}, dict.fromkeys("ab", share_of(order, seed))], order=order, seed=seed)
        for order in (0, 1)
        for seed in (0, 1)
    ]
    [one] = standings_of(contest(*runs, orders=2, seeds=2)).free
    mean = one.figures["average_accuracy"]
    assert mean is not None and mean.runs == independent and one.runs == 4
    assert mean.mean == pytest.approx(statistics.fmean(share_of(order, seed) for order in (0, 1) for seed in (0, 1)))


def test_a_method_that_knows_the_task_stands_in_the_task_given_table_alone() -> None:
    standings = standings_of(contest(run("one", SINKING), run("told", STEADY), knows_task=["told"]))
    assert [one.method for one in standings.free] == ["one"]
    assert {one.method for one in standings.given} == {"one", "told"}


def test_the_best_method_stands_first() -> None:
    standings = standings_of(contest(run("low", SINKING), run("high", STEADY)))
    assert [one.method for one in standings.free] == ["high", "low"]


def test_diverged_runs_do_not_count_and_are_told() -> None:
    swept = {"wild": Sweep(rates=(1.0,), scores=(None,), chosen=None)}
    runs = [run("one", STEADY), run("one", STEADY, seed=1, diverged="the loss is NaN", seconds=())]
    standings = standings_of(contest(*runs, seeds=2, sweeps=swept))
    [one] = standings.free
    assert one.runs == 1 and dict(standings.diverged) == {"one": 1, "wild": 2} and standings.unfinished == ()
    assert "one diverged in 1 run, which do not count" in standings_in_words(standings)[-1]


def words(*runs: Run, **said: Any) -> str:
    return " ".join(standings_in_words(standings_of(contest(*runs, **said))))


def level(share: float) -> Right:
    return [{"a": share}, {"a": share, "b": share}]


def test_the_words_say_who_is_ahead_and_on_what() -> None:
    told = words(run("portfolio", level(0.9)), run("other", level(0.8)))
    assert "letters: 2 tasks, 2 classes, 30 test rows, on the base tiny; 1 order × 1 seed" in told
    assert "20 training rows a class, 5 epochs, up to 3 learning rates tried a method" in told
    assert "portfolio is ahead with 90.0 %; next is other with 80.0 %." in told


@pytest.mark.parametrize(
    ("portfolio", "verdict"),
    [
        ((0.9, 0.8), "is better than joint full fine-tuning"),
        ((0.8, 0.8), "is at least as good on average, within the interval, as joint full"),
        ((0.8, 0.6), "cannot be told apart from, though its mean is lower, joint full"),
        ((0.4, 0.3), "is behind joint full fine-tuning"),
        ((0.9,), "in its one run is at least as good as joint full"),
    ],
)
def test_the_words_weigh_the_portfolio_against_joint_training_by_the_paired_interval(
    portfolio: Sequence[float], verdict: str
) -> None:
    runs = [run("portfolio", level(share), seed=seed) for seed, share in enumerate(portfolio)]
    runs += [run("joint-full", level(share)[1:], seed=seed) for seed, share in enumerate((0.8, 0.7))]
    assert verdict in words(*runs, seeds=2)


@pytest.mark.parametrize(
    ("free", "given", "verdict"),
    [
        (
            SINKING,
            SINKING,
            "0.001, forgets 50.0 points class-incremental and 50.0 points task-given: this benchmark shows forgetting.",
        ),
        (SINKING, STEADY, "this benchmark shows forgetting only class-incremental."),
        (STEADY, STEADY, "this benchmark does not show forgetting."),
    ],
)
def test_the_words_say_whether_the_benchmark_shows_forgetting(free: Right, given: Right, verdict: str) -> None:
    assert verdict in words(run("sequential-full", free, given))


def test_forgetting_that_may_be_luck_is_not_called_visible() -> None:
    runs = [run("sequential-full", free, STEADY, seed=seed) for seed, free in enumerate((SINKING, STEADY, STEADY))]
    assert "this benchmark does not show forgetting" in words(*runs, seeds=3)


def test_a_contest_of_which_no_run_has_ended_says_so(screen: Callable[..., Any]) -> None:
    empty = standings_of(contest())
    shown = screen(80)
    print_standings(empty, shown.console)
    assert "No run has ended yet." in shown.text()


@pytest.fixture
def standings() -> Standings:
    runs = [
        run(method, free, order=order, seed=seed)
        for order, turned in ((0, False), (1, True))
        for seed in (0, 1)
        for method, free in (
            ("portfolio", level(0.9 if order == seed else 0.8)),
            ("sequential-full", level(0.3 + seed / 10)),
            ("joint-full", level(0.8)[1:]),
        )
        for free in (
            [{("b" if turned and task == "a" and len(s) == 1 else task): v for task, v in s.items()} for s in free],
        )
    ]
    return standings_of(contest(*runs, orders=2, seeds=2))


def test_the_terminal_shows_both_tables_apart_and_every_line_fits(
    standings: Standings, screen: Callable[..., Any]
) -> None:
    shown = screen(100)
    print_standings(standings, shown.console)
    text = shown.text()
    free, given = text.index("Class-incremental: chosen"), text.index("Task-given: chosen")
    assert free < given < text.index("Costs of one run")
    assert "85.0 ±9.2" in text[free:given] and "100 ±0.0" in text[given:]
    assert max(map(len, shown.lines())) <= 100
    narrow = screen(80, "ascii")
    print_standings(standings, narrow.console)
    assert "85.0 +-9.2" in narrow.text() and max(map(len, narrow.lines())) <= 80
    assert "by rows " in text and "by rows " not in narrow.text() and "sequential-full" in narrow.text()


def test_markdown_has_a_line_a_method_in_each_table(standings: Standings) -> None:
    text = standings_to_markdown(standings)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 3 * (2 + 3)
    assert {line.count("|") for line in lines[:10]} == {9}
    assert "- `joint-full`: words of joint-full (a paper)" in text


def test_json_is_strict_and_holds_the_intervals_and_every_run(standings: Standings) -> None:
    read = json.loads(json.dumps(standings_to_dict(standings), allow_nan=False))
    [first, *_] = read["class_incremental"]
    assert first["method"] == "portfolio" and first["average_accuracy"]["mean"] == pytest.approx(0.85)
    assert len(read["runs"]) == 3 * 4 * 2 and read["terms"]["orders"][1]["tasks"] == ["b", "a"]
    assert read["runs"][0]["results"][0] == [pytest.approx(0.9), None]


def test_csv_has_a_figure_a_line_from_which_the_means_follow(standings: Standings) -> None:
    rows = list(csv.DictReader(io.StringIO(standings_to_csv(standings))))
    assert tuple(rows[0]) == COLUMNS
    chosen = [
        float(row["value"])
        for row in rows
        if (row["method"], row["reading"], row["figure"]) == ("portfolio", FREE, "average_accuracy")
    ]
    assert len(chosen) == 4 and statistics.fmean(chosen) == pytest.approx(0.85)
    cells = [row for row in rows if row["method"] == "joint-full" and row["figure"] == "accuracy"]
    assert {row["step"] for row in cells} == {"2"} and {row["reading"] for row in cells} == {FREE, GIVEN}


def test_curves_are_drawn_a_panel_a_reading_with_joint_methods_as_level_lines(
    standings: Standings, tmp_path: Path, figures: list[Figure]
) -> None:
    draw_curves(standings, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    [figure] = figures
    free, given = figure.axes
    assert (free.get_title(), given.get_title()) == (FREE, GIVEN)
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in free.get_lines()}
    assert lines["portfolio"].tolist() == pytest.approx([85, 85])
    assert lines["joint-full"].tolist() == pytest.approx([80, 80])


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none has ended"):
        draw_curves(standings_of(contest()), tmp_path / "curves.png")

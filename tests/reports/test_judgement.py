"""How well the router does, as people and programs read it: few tasks and many."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portfolio.records import NearClass, Route
from portfolio.reports.judgement import (
    OutOfScope,
    OverlapReport,
    RouteReport,
    WrongRoute,
    overlap_to_dict,
    route_report_to_dict,
)
from portfolio.reports.judgement_terminal import print_overlap, print_route_report, taken_in_words
from portfolio.reports.routes import explanation, print_routes
from routing.measures import RiskCurve
from routing.overlap import Overlap, Pair, Theft

ASTRAY = Route(
    tasks=("t1",),
    scores=(0.75,),
    margin=0.5,
    reason="near",
    runner_up="t0",
    in_scope=-2.0,
    threshold=-3.0,
    nearest=(NearClass(task="t1", label="no", distance=4.0),),
    looked="base",
    block_evaluations=6,
)


def judged(tasks: int, wrong: int) -> RouteReport:
    """Ten texts a task; of those of the first task some went to the last."""
    confusion = 10 * np.eye(tasks, dtype=np.int64)
    confusion[0, 0] -= wrong
    confusion[0, -1] += wrong
    return RouteReport(
        tasks=tuple(f"t{number}" for number in range(tasks)),
        rows=10 * tasks,
        accuracy=1 - wrong / (10 * tasks),
        by_task=(1 - wrong / 10, *(1.0 for _ in range(tasks - 2)), None),
        confusion=confusion,
        coverage=0.95,
        ece=0.01,
        curve=RiskCurve(coverages=(0.5, 1.0), risks=(0.0, 0.1), area=0.025),
        asked=0.125,
        block_evaluations=3.375,
        base_passes=0.5625,
        wrong=tuple(WrongRoute(row=row, text=f"text {row}", task="t0", route=ASTRAY) for row in range(wrong)),
        out_of_scope=OutOfScope(rows=7, recall=0.5, auroc=0.975, fpr95=0.25),
    )


def overlapping(thefts: int, **shares: float) -> OverlapReport:
    pair = Pair(
        first="a",
        second="b",
        taken_by_second=shares.get("taken_by_second", 0.25),
        taken_by_first=0.125,
        exchanged=0.1875,
        nearest_classes=(1, 0),
        distance=2.5,
        shared_classes=0.5,
        verdict="steals",
    )
    now = Overlap(tasks=("a", "b"), chosen=(), taken=np.zeros((2, 2)), pairs=(pair,))
    stolen = tuple(Theft(task=f"old{number}", rows=(1, 2), share=0.5 / (number + 1)) for number in range(thefts))
    return OverlapReport(now=now, labels={"a": ("x", "y"), "b": ("z",)}, without="b", stolen=stolen)


def test_few_tasks_have_their_confusion_matrix(screen: Callable[..., Any]) -> None:
    terminal = screen(width=80)
    print_route_report(judged(3, wrong=2), terminal.console, wrong=1)
    lines = [line.split() for line in terminal.lines()]
    assert ["1", "t0", "8", ".", "2"] in lines and ["3", "t2", ".", ".", "10"] in lines
    assert ["1", "t0", "10", "80.0"] in lines and ["3", "t2", "10", "-"] in lines
    assert max(map(len, terminal.lines())) <= 80 or "nearest classes" in max(terminal.lines(), key=len)
    assert "text 1: of t0, went to t1, 75.0 %" in terminal.text() and "text 2: " not in terminal.text()
    assert "1 more text went wrong" in terminal.text()


def test_many_tasks_have_their_largest_confusions_and_their_worst_tasks(screen: Callable[..., Any]) -> None:
    terminal = screen(width=80)
    print_route_report(judged(60, wrong=3), terminal.console, wrong=0)
    lines = [line.split() for line in terminal.lines()]
    assert ["t0", "->", "t59", "3"] in lines
    assert sum("->" in line for line in lines) == 2  # the header's, and the one pair that was confused
    assert ["1", "t0", "10", "70.0"] in lines and len([line for line in lines if line[1:2] and line[1][0] == "t"]) < 30
    assert "went to" not in terminal.text()


def test_a_report_as_json_is_strict_and_counts_rows_from_one() -> None:
    fields = json.loads(json.dumps(route_report_to_dict(judged(3, wrong=2)), allow_nan=False))
    assert fields["by_task"] == {"t0": 0.8, "t1": 1.0, "t2": None}
    assert [one["row"] for one in fields["wrong"]] == [1, 2]
    assert fields["curve"]["area"] == 0.025 and fields["out_of_scope"]["auroc"] == 0.975


def test_a_pair_is_told_with_shares_and_labels(screen: Callable[..., Any]) -> None:
    terminal = screen()
    print_overlap(overlapping(1), terminal.console)
    said = terminal.text()
    assert "a and b: steals" in said
    assert "b takes 25.0 % of a's validation rows, a takes 12.5 % of b's" in said
    assert "y of a and z of b, at distance 2.5" in said
    assert "old0: 2 validation rows that found it before, 50.0 % of all" in said


def test_a_share_that_was_not_measured_is_null() -> None:
    [pair] = overlap_to_dict(overlapping(0, taken_by_second=math.nan))["pairs"]
    assert (pair["taken_by_second"], pair["taken_by_first"]) == (None, 0.125)
    assert pair["nearest_classes"] == ["y", "z"]


@pytest.mark.parametrize(
    ("thefts", "said"),
    [
        (0, "b takes no validation row from a task that had it before."),
        (1, "b takes 50.0 % of old0's validation rows."),
        (5, "16.7 % of old2's validation rows, and less from 2 other tasks."),
    ],
)
def test_what_a_task_took_is_one_sentence(thefts: int, said: str) -> None:
    assert taken_in_words(overlapping(thefts)).endswith(said)


def test_an_explanation_leaves_out_what_had_no_say() -> None:
    assert dict(explanation(ASTRAY))["margin"] == "50.0 points over t0"
    forbidden = Route(tasks=(), scores=(), margin=0.0, reason="rule 1", abstained=True, decided_by="rules", rule="r")
    fields = dict(explanation(forbidden))
    assert fields["route"] == "abstained" and fields["rules"] == "r"
    assert not {"margin", "in scope", "nearest classes", "features"} & set(fields)


def test_a_route_held_by_a_session_may_have_a_margin_below_zero(screen: Callable[..., Any]) -> None:
    terminal = screen()
    held = Route(tasks=("t0",), scores=(0.25,), margin=-0.5, reason="held", decided_by="session", looked="base")
    print_routes(["well?"], [held], terminal.console)
    assert terminal.lines() == [" 25.0  -50.0  t0  well?"]

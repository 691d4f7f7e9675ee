"""The report as data and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.records import Cell, Snapshot
from portfolio.reports import added
from portfolio.reports.bootstrap import change_interval, mean_change_interval
from portfolio.reports.formulas import FORMULAS
from portfolio.reports.measured_on import MeasuredOn
from portfolio.reports.report import Results, build_report
from portfolio.reports.summary import summary

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]

WORKED = [[0.80, 0.30, 0.20], [0.90, 0.85, 0.40], [0.70, 0.90, 0.75]]


def strict(report_dict: dict[str, Any]) -> Any:
    return json.loads(json.dumps(report_dict, allow_nan=False))


def test_the_matrices_have_a_row_a_step_and_null_where_nothing_was_measured(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[0.5, None], [0.75, 1.0]], routed=[[0.5, None], [None, 0.25]])
    report = strict(build_report(snapshot).to_dict())
    assert report["tasks"] == ["task0", "task1"]
    assert report["oracle"]["matrix"] == [[0.5, None], [0.75, 1.0]]
    assert report["routed"]["matrix"] == [[0.5, None], [None, 0.25]]
    assert report["oracle"]["unmeasured"] == 0
    assert report["routed"]["unmeasured"] == 1


def test_each_matrix_has_its_own_figures(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[0.5, None], [0.75, 1.0]], routed=[[0.5, None], [0.25, 0.5]])
    report = strict(build_report(snapshot).to_dict())
    assert (report["oracle"]["average_accuracy"], report["routed"]["average_accuracy"]) == (0.875, 0.375)
    assert (report["oracle"]["bwt"], report["routed"]["bwt"]) == (0.25, -0.25)
    assert (report["oracle"]["forgetting"], report["routed"]["forgetting"]) == (-0.25, 0.25)
    assert (report["oracle"]["fwt"], report["routed"]["fwt"]) == (None, None)


def test_forward_transfer_is_computed_once_future_tasks_were_scored(snapshot_of: SnapshotOf) -> None:
    names = ["task0", "task1", "task2"]
    cells = tuple(
        Cell(step=step, task=task, rows=5, oracle=WORKED[i][j], baseline=(0.10, 0.20, 0.25)[j])
        for i, step in enumerate(names)
        for j, task in enumerate(names)
    )
    oracle = build_report(dataclasses.replace(snapshot_of(WORKED), cells=cells)).oracle
    assert oracle.fwt == pytest.approx(0.125)
    assert oracle.bwt == pytest.approx(-0.025)
    assert oracle.forgetting == pytest.approx(0.075)


def test_means_are_over_tasks_now_and_each_task_counts_the_same(snapshot_of: SnapshotOf) -> None:
    cells = (
        Cell(step="task0", task="task0", rows=9, routing=0.0, astray_right=1.0, coverage=0.0, selective=0.0, floor=0.0),
        Cell(
            step="task1", task="task0", rows=1, routing=0.5, astray_right=0.5, coverage=1.0, selective=0.5, floor=0.25
        ),
        Cell(step="task1", task="task1", rows=9, routing=1.0, astray_right=0.0, coverage=0.5, floor=0.75),
    )
    report = build_report(dataclasses.replace(snapshot_of([[1.0, None], [1.0, 1.0]]), cells=cells))
    assert report.routing_accuracy == 0.75
    assert report.astray_right == 0.25
    assert report.coverage == 0.75
    assert report.selective_accuracy == 0.5
    assert report.floor == 0.5
    assert [now.routing_accuracy for now in report.per_task] == [0.5, 1.0]
    assert [now.rows for now in report.per_task] == [1, 9]


def test_a_score_stored_as_nan_is_null(snapshot_of: SnapshotOf) -> None:
    cells = (Cell(step="task0", task="task0", rows=5, oracle=math.nan, routed=0.5, coverage=math.nan, floor=math.nan),)
    report = strict(build_report(dataclasses.replace(snapshot_of([[1.0]]), cells=cells)).to_dict())
    assert report["oracle"]["matrix"] == [[None]]
    assert report["oracle"]["average_accuracy"] is None
    assert report["coverage"] is None
    assert report["per_task"][0]["floor"] is None
    assert report["astray_right"] is report["per_task"][0]["astray_right"] is None


def test_cells_of_tasks_that_are_gone_are_not_counted(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[0.5]])
    gone = (Cell(step="gone", task="task0", rows=1, oracle=0.0), Cell(step="task0", task="gone", rows=1, oracle=0.0))
    assert build_report(dataclasses.replace(snapshot, cells=gone + snapshot.cells)) == build_report(snapshot)


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_in_which_cells_are_read_does_not_matter(snapshot_of: SnapshotOf, random: Any) -> None:
    snapshot = snapshot_of(WORKED)
    shuffled = list(snapshot.cells)
    random.shuffle(shuffled)
    assert build_report(dataclasses.replace(snapshot, cells=tuple(shuffled))) == build_report(snapshot)


def test_a_portfolio_without_tasks_has_a_report(snapshot_of: SnapshotOf) -> None:
    report = strict(build_report(snapshot_of([])).to_dict())
    assert report["tasks"] == report["per_task"] == report["costs"] == []
    assert report["oracle"]["matrix"] == []
    assert report["oracle"]["average_accuracy"] is None
    assert report["routing_accuracy"] is report["astray_right"] is report["router"] is None
    assert report["base"] == {"name": "tiny", "revision": None, "fingerprint": "9" * 64}


def test_one_task_has_an_accuracy_and_nothing_to_forget(snapshot_of: SnapshotOf) -> None:
    report = strict(build_report(snapshot_of([[0.5]])).to_dict())
    assert report["routed"]["average_accuracy"] == report["routed"]["plasticity"] == 0.5
    assert report["routed"]["bwt"] is report["routed"]["forgetting"] is report["routed"]["fwt"] is None


def test_a_task_without_cells_has_no_scores(snapshot_of: SnapshotOf) -> None:
    report = build_report(dataclasses.replace(snapshot_of([[1.0, None], [1.0, 1.0]]), cells=()))
    assert report.oracle.unmeasured == report.routed.unmeasured == 3
    assert [now.oracle for now in report.per_task] == [None, None]
    assert report.floor is None


def test_costs_follow_the_tasks_with_a_line_for_each_version(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[1.0, None], [1.0, 1.0]], names=["zebra", "ant"])
    zebra, ant = snapshot.adapters
    newer = dataclasses.replace(zebra, version=10, seconds=7.0)
    new = dataclasses.replace(zebra, version=2)
    stray = dataclasses.replace(ant, task="gone", name="gone")
    report = build_report(dataclasses.replace(snapshot, adapters=(newer, ant, new, stray, zebra)))
    assert [cost.adapter for cost in report.costs] == ["zebra@1", "zebra@2", "zebra@10", "ant@1"]
    assert [cost.seconds for cost in report.costs] == [2.5, 2.5, 7.0, 2.5]
    assert [(cost.answers, cost.train_rows) for cost in report.costs[:3]] == [(False, None), (False, None), (True, 100)]
    assert dataclasses.asdict(report.costs[-1]) == {
        "task": "ant",
        "adapter": "ant@1",
        "answers": True,
        "method": "bottleneck",
        "parameters": 1200,
        "bytes": 5000,
        "seconds": 2.5,
        "epochs": 3,
        "train_rows": 100,
        "validation_rows": 10,
        "test_rows": 20,
    }


def test_every_figure_of_a_matrix_and_of_the_report_has_its_formula(snapshot_of: SnapshotOf) -> None:
    figures = {field.name for field in dataclasses.fields(Results)} - {"unmeasured"}
    figures |= {"changes", "losses", "confusion", "gains", "interval", "lead", "would_return", "routing_loss"}
    figures |= {"routing_accuracy", "astray_right", "coverage", "selective_accuracy", "floor", "asked", "ece"}
    assert figures <= set(FORMULAS)
    assert build_report(snapshot_of([])).to_dict()["formulas"] == dict(FORMULAS)


@pytest.fixture
def three(history_of: HistoryOf) -> Any:
    """Task a loses a row to b and one to c; b wins one; with the task given nothing moves."""
    return history_of(
        ("add-task", "a", {"a": "+ + + -"}),
        ("add-task", "b", {"a": "+ + b -", "b": "+ a"}),
        ("add-task", "c", {"a": "+ c b -", "b": "+ +", "c": "+"}),
    )


def report_of(history: Any) -> Any:
    return build_report(history.snapshot, history.load)


def test_tasks_are_compared_with_their_own_step_row_by_row(three: Any) -> None:
    report = report_of(three)
    assert report.rows_kept
    assert [(one.task, one.rows, one.before, one.after) for one in report.changes] == [
        ("a", 4, 0.75, 0.25),
        ("b", 2, 0.5, 1.0),
        ("c", 1, 1.0, 1.0),
    ]
    assert [one.change for one in report.oracle_changes] == [0.0, 0.0, 0.0]
    then, now = np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])
    assert report.changes[0].interval == change_interval(then, now)


def test_only_tasks_that_lost_have_reasons_most_lost_first(history_of: HistoryOf) -> None:
    report = report_of(
        history_of(
            ("add-task", "a", {"a": "+ + + +"}),
            ("add-task", "b", {"a": "+ + + +", "b": "+ +"}),
            ("add-task", "c", {"a": "+ + + c", "b": "+ c", "c": "-"}),
            ("add-task", "d", {"a": "+ + + c", "b": "+ c", "c": "+", "d": "+"}),
        )
    )
    assert [(loss.task, loss.change, loss.lost) for loss in report.losses] == [("b", -0.5, (1,)), ("a", -0.25, (3,))]


def test_intervals_of_means_come_from_the_rows_of_every_earlier_task(three: Any) -> None:
    report = report_of(three)
    a, b = (np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])), (np.array([1, 0]), np.array([1, 1]))
    assert report.routed.bwt_interval == mean_change_interval([a, b])
    assert report.routed.forgetting_interval == mean_change_interval([a[::-1], b[::-1]])
    assert report.oracle.bwt_interval is not None
    assert (report.oracle.bwt_interval.low, report.oracle.bwt_interval.high) == (0.0, 0.0)


def test_forgetting_is_counted_from_the_best_step_and_so_is_its_interval(history_of: HistoryOf) -> None:
    report = report_of(
        history_of(
            ("add-task", "a", {"a": "- - + +"}),
            ("add-task", "b", {"a": "+ + + +", "b": "+"}),
            ("add-task", "c", {"a": "- - - +", "b": "+", "c": "+"}),
        )
    )
    now, best = np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1])
    assert report.routed.forgetting == pytest.approx(0.375)
    assert report.routed.forgetting_interval == mean_change_interval([(now, best), (np.ones(1, int), np.ones(1, int))])


def test_the_row_of_a_step_is_what_was_measured_last_at_it(history_of: HistoryOf) -> None:
    """Here c came and went, so that b's row was measured again; and in the end all was."""
    report = report_of(
        history_of(
            ("add-task", "a", {"a": "+ +"}),
            ("add-task", "b", {"a": "+ +", "b": "+ +"}),
            ("add-task", "c", {"a": "+ +", "b": "+ c", "c": "+"}),
            ("remove-task", "c", {"a": "+ +", "b": "+ a"}),
            ("add-task", "d", {"a": "d d", "b": "+ d", "d": "+"}),
            ("measure", "d", {"a": "+ d", "b": "+ a", "d": "+"}),
        )
    )
    assert [(one.before, one.after) for one in report.changes] == [(1.0, 0.5), (0.5, 0.5), (1.0, 1.0)]
    assert [loss.lost for loss in report.losses] == [(1,)]


def test_a_task_that_came_again_is_not_paired_with_its_old_rows(history_of: HistoryOf) -> None:
    report = report_of(
        history_of(
            ("add-task", "a", {"a": "+ +"}),
            ("add-task", "b", {"a": "+ +", "b": "+"}),
            ("remove-task", "a", {"b": "+"}),
            ("add-task", "a", {"b": "+", "a": "- -"}),
        )
    )
    assert report.tasks == ("b", "a")
    assert [(one.task, one.before, one.after) for one in report.changes] == [("b", 1.0, 1.0), ("a", 0.0, 0.0)]
    assert report.losses == ()


def test_rows_from_before_a_task_came_again_are_left_out_where_its_coming_again_has_no_row(three: Any) -> None:
    snapshot = three.snapshot
    again = dataclasses.replace(snapshot.moments[1], generation=4, action="add-task", subject="a", step="gone")
    last = dataclasses.replace(snapshot.moments[2], generation=5, action="measure")
    moved = dataclasses.replace(snapshot, moments=(*snapshot.moments[:2], again, last))
    report = build_report(moved, three.load)
    assert [one.interval is None for one in report.changes] == [True, False, False]
    assert report.losses == ()


def test_steps_whose_rows_were_not_kept_have_scores_alone(three: Any) -> None:
    report = report_of(three.without_rows_of("a"))
    assert not report.rows_kept
    assert (report.changes[0].change, report.changes[0].interval) == (-0.5, None)
    assert report.changes[1].interval is not None
    assert report.losses == ()
    assert report.routed.bwt_interval is report.oracle.forgetting_interval is None
    assert report.confusion is not None


def test_without_the_last_row_nothing_can_be_compared(three: Any) -> None:
    report = report_of(three.without_rows_of("c"))
    assert report.confusion is None
    assert {one.interval for one in report.changes} == {None}


def test_without_a_reader_there_are_the_scores_of_the_cells(three: Any) -> None:
    report = build_report(three.snapshot)
    assert not report.rows_kept
    assert [one.change for one in report.changes] == [-0.5, 0.5, 0.0]
    assert (report.losses, report.confusion) == ((), None)


def test_rows_whose_answer_is_unknown_are_left_out_of_a_change_and_of_no_interval_of_means(
    history_of: HistoryOf,
) -> None:
    history = history_of(
        ("add-task", "a", {"a": "+ + +"}),
        ("add-task", "b", {"a": "+ b b?", "b": "+"}),
    )
    report = report_of(history)
    assert report.routed.matrix == ((1.0, None), (None, 1.0))
    assert (report.changes[0].rows, report.changes[0].change) == (2, -0.5)
    assert report.losses[0].unasked == 1
    assert report.routed.bwt is report.routed.bwt_interval is None


def test_confusion_counts_where_rows_go_now(three: Any) -> None:
    report = report_of(three)
    assert report.confusion is not None
    assert report.confusion.counts == ((2, 1, 1), (0, 2, 0), (0, 0, 1))


def test_each_step_is_read_once(three: Any) -> None:
    report_of(three)
    assert sorted(three.loaded) == sorted(three.outcomes)


def test_of_very_many_tasks_only_the_rows_of_those_that_lost_most_are_read(
    three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(added, "MANY_TASKS", 2)
    monkeypatch.setattr(added, "WORST_TASKS", 1)
    report = report_of(three)
    assert three.loaded == [f"{3:064d}", f"{1:064d}"]
    assert report.rows_kept
    assert [one.interval is None for one in report.changes] == [False, True, True]
    assert [one.change for one in report.changes] == [-0.5, 0.5, 0.0]
    assert [loss.task for loss in report.losses] == ["a"]
    assert report.routed.bwt_interval is None


def test_new_figures_of_a_matrix_are_read_off_it(three: Any) -> None:
    report = report_of(three)
    assert report.routed.micro_average_accuracy == pytest.approx((1 + 2 + 1) / 7)
    assert report.routed.steps == (0.75, 0.5, 0.75)
    assert report.routed.stability == 0.625
    assert (report.routed.worst_task, report.routed.worst_score) == ("a", 0.25)
    assert report.routing_loss == pytest.approx((0.75 - 0.25) / 3)


def test_all_that_was_found_is_in_the_json(three: Any) -> None:
    found = strict(report_of(three).to_dict())
    assert [one["change"] for one in found["changes"]] == [-0.5, 0.5, 0.0]
    assert set(found["changes"][0]["interval"]) == {"low", "high"}
    assert [one["change"] for one in found["oracle_changes"]] == [0.0, 0.0, 0.0]
    assert [taker["rows"] for taker in found["losses"][0]["takers"]] == [[2], [1]]
    assert found["confusion"]["counts"][0] == [2, 1, 1]
    assert (found["gains"], found["rows_kept"]) == ([], True)
    assert set(found["routed"]["bwt_interval"]) == {"low", "high"}
    assert found["routed"]["worst_task"] == "a"
    assert found["routed"]["steps"] == [0.75, 0.5, 0.75]
    assert found["routing_loss"] == pytest.approx(1 / 6)


def test_scores_and_rows_tell_the_same(history_of: HistoryOf) -> None:
    """Whatever the rows, the changes are those of the matrices."""
    random = np.random.default_rng(1)
    names, changes, rows = ["a", "b", "c", "d"], [], {}
    for step, name in enumerate(names):
        words = ["+", "-", *(other for other in names[:step])]
        rows = {task: " ".join(random.choice(words, size=9)) for task in names[: step + 1]}
        rows = {task: line.replace(task, "+") for task, line in rows.items()}
        changes.append(("add-task", name, rows))
    history = history_of(*changes)
    with_rows, without = report_of(history), build_report(history.snapshot)
    for name in ("changes", "oracle_changes"):
        for one, other in zip(getattr(with_rows, name), getattr(without, name), strict=True):
            assert (one.rows, one.before, one.after) == (other.rows, other.before, other.after)
    assert with_rows.routed.matrix == without.routed.matrix


def test_reports_start_without_torch_or_sql() -> None:
    unwanted = {"torch", "transformers", "sqlite3", "faiss", "scipy.stats", "matplotlib"}
    code = (
        "import sys; import portfolio.reports.terminal, portfolio.reports.listing, portfolio.reports.since_terminal; "
        f"sys.exit(','.join({unwanted} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def promoted(history_of: HistoryOf) -> Any:
    """a comes, then b; then a version of a is promoted that was tested on three other rows; then c comes."""
    return history_of(
        ("add-task", "a", {"a": "+ + + +"}),
        ("add-task", "b", {"a": "+ + + +", "b": "+ +"}),
        ("promote", "a", {"a": "- - +", "b": "+ a"}),
        ("add-task", "c", {"a": "- - +", "b": "+ a", "c": "+"}),
    )


OTHER_ROWS_SINCE_3 = MeasuredOn(spans={"a": [(1, "rows of 1"), (3, "rows of 2")]}, moved_at=3)


def test_scores_on_other_test_rows_are_left_out_wherever_scores_are_compared(promoted: Any) -> None:
    report = build_report(promoted.snapshot, promoted.load, OTHER_ROWS_SINCE_3)
    third = pytest.approx(1 / 3)
    assert [row[0] for row in report.routed.matrix] == [None, third, third]  # after a: on other rows
    assert [(one.task, one.before, one.after, one.change) for one in report.changes] == [
        ("a", None, third, None),
        ("b", 0.5, 0.5, 0.0),  # its own step was measured again when a was promoted
        ("c", 1.0, 1.0, 0.0),
    ]
    assert report.other_rows == ("a",)
    assert report.losses == ()
    assert report.routed.bwt == report.oracle.bwt == 0.0  # of b alone
    assert report.routed.bwt_interval is not None
    assert (report.routed.unmeasured, report.oracle.unmeasured) == (0, 0)
    assert strict(report.to_dict())["other_rows"] == ["a"]


def test_other_rows_of_the_same_number_are_not_compared_either(history_of: HistoryOf) -> None:
    history = history_of(
        ("add-task", "a", {"a": "+ +"}),
        ("add-task", "b", {"a": "+ +", "b": "+"}),
        ("promote", "a", {"a": "- -", "b": "+"}),
    )
    report = build_report(history.snapshot, history.load, OTHER_ROWS_SINCE_3)
    assert (report.changes[0].change, report.losses, report.other_rows) == (None, (), ("a",))
    same = build_report(history.snapshot, history.load, MeasuredOn(spans={}, moved_at=3))
    assert (same.changes[0].change, same.losses[0].lost, same.other_rows) == (-1.0, (0, 1), ())


def test_where_every_version_has_the_same_rows_all_is_compared(three: Any) -> None:
    moved = MeasuredOn(spans={}, moved_at=2)
    assert build_report(three.snapshot, three.load, moved) == build_report(three.snapshot, three.load)


def test_rows_from_before_another_version_answered_do_not_pass_for_those_of_now(three: Any) -> None:
    """A version was rolled back to at generation 4, and nothing was measured since."""
    report = build_report(three.snapshot, three.load, MeasuredOn(spans={}, moved_at=4))
    assert (report.confusion, report.losses) == (None, ())
    assert {one.interval for one in report.changes} == {None}
    assert "Test rows were not measured since another version answers" in " ".join(summary(report))


def test_the_last_row_is_that_of_the_versions_that_answer_now_also_where_no_test_rows_were_kept(three: Any) -> None:
    """At generation 4 a version of c was rolled back to: the last row of the matrix was replaced, without a moment."""
    snapshot = dataclasses.replace(three.snapshot, generation=4)
    report = build_report(snapshot, three.load, MeasuredOn(spans={"c": [(3, "these"), (4, "those")]}, moved_at=4))
    assert report.routed.now()[2] == 1.0


def test_the_summary_names_tasks_with_other_test_rows(promoted: Any) -> None:
    one = build_report(promoted.snapshot, promoted.load, OTHER_ROWS_SINCE_3)
    assert any(
        part.startswith("a has other test rows than under earlier versions: its scores") for part in summary(one)
    )
    many = dataclasses.replace(one, other_rows=tuple(f"t{number}" for number in range(14)))
    assert "t10, t11 and 2 more have other test rows" in " ".join(summary(many))
    assert "other test rows" not in " ".join(summary(build_report(promoted.snapshot)))

"""The report as data and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.records import Cell, Snapshot
from portfolio.reports.report import FORMULAS, Results, build_report

SnapshotOf = Callable[..., Snapshot]

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
    assert dataclasses.asdict(report.costs[-1]) == {
        "task": "ant",
        "adapter": "ant@1",
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
    figures |= {"routing_accuracy", "astray_right", "coverage", "selective_accuracy", "floor", "asked", "ece"}
    assert figures <= set(FORMULAS)
    assert build_report(snapshot_of([])).to_dict()["formulas"] == dict(FORMULAS)


def test_reports_start_without_torch_or_sql() -> None:
    code = (
        "import sys; import portfolio.reports.terminal, portfolio.reports.listing; "
        "sys.exit(','.join({'torch', 'transformers', 'sqlite3', 'faiss'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

"""The report as a long table: one line a number, read back as it was."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portfolio.records import Snapshot
from portfolio.reports.report import Report, build_report
from portfolio.reports.report_csv import COLUMNS, write_csv

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]

N = None


@pytest.fixture
def lossy(history_of: HistoryOf) -> Report:
    history = history_of(
        ("add-task", "banking", {"banking": "+ + + -"}),
        ("add-task", "travel", {"banking": "+ + travel -", "travel": "+ +"}),
    )
    return build_report(history.snapshot, history.load)


def text_of(report: Report) -> str:
    stream = io.StringIO(newline="")
    write_csv(report, stream)
    return stream.getvalue()


def lines_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(report), newline=""), strict=True))


def numbers(report: Report, **wanted: str) -> list[str]:
    """The values of the lines that are about this."""
    return [line["value"] for line in lines_of(report) if all(line[key] == value for key, value in wanted.items())]


def test_every_line_has_every_column_and_ends_in_cr_lf(lossy: Report) -> None:
    text = text_of(lossy)
    assert text.split("\r\n")[0] == ",".join(COLUMNS) and text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert text.count("\n") == text.count("\r\n") == len(rows)


def test_no_two_numbers_are_about_the_same(lossy: Report) -> None:
    about = [tuple(line[key] for key in ("figure", "kind", "step", "task", "other")) for line in lines_of(lossy)]
    assert len(set(about)) == len(about)


def test_both_matrices_are_read_back_bit_for_bit(snapshot_of: SnapshotOf) -> None:
    oracle, routed = [[1.0, N], [1 / 3, 0.95]], [[0.9, N], [0.1 + 0.2, N]]
    report = build_report(snapshot_of(oracle, routed, ["banking", "travel"]))
    read = {
        (line["kind"], line["step"], line["task"]): line["value"]
        for line in lines_of(report)
        if line["figure"] == "matrix"
    }
    assert {key: float(value) for key, value in read.items() if value} == {
        ("oracle", "banking", "banking"): 1.0,
        ("oracle", "travel", "banking"): 1 / 3,
        ("oracle", "travel", "travel"): 0.95,
        ("routed", "banking", "banking"): 0.9,
        ("routed", "travel", "banking"): 0.1 + 0.2,
    }
    assert read["routed", "travel", "travel"] == "", "known by then, and not measured"
    assert ("routed", "banking", "travel") not in read, "not known by then"


def test_what_was_not_measured_is_empty_and_not_0(snapshot_of: SnapshotOf) -> None:
    report = build_report(snapshot_of([[N, N], [N, N]]))
    assert set(numbers(report, figure="matrix")) == {""}
    assert numbers(report, figure="forgetting") == numbers(report, figure="bwt") == ["", ""]
    assert numbers(report, figure="change", kind="routed") == ["", ""]
    assert "nan" not in text_of(report).lower() and "None" not in text_of(report)


def test_changes_have_their_intervals_and_rows(lossy: Report) -> None:
    [line] = [line for line in lines_of(lossy) if line["figure"] == "change" and line["kind"] == "routed"][:1]
    change = lossy.changes[0]
    assert change.interval is not None
    assert (line["task"], float(line["value"]), line["rows"]) == ("banking", -0.25, "4")
    assert (float(line["low"]), float(line["high"])) == (change.interval.low, change.interval.high)


def test_losses_takers_confusion_and_costs_are_there(lossy: Report) -> None:
    assert numbers(lossy, figure="lost", task="banking") == ["1"] and numbers(lossy, figure="won") == ["0"]
    assert numbers(lossy, figure="taken", task="banking", other="travel") == ["1"]
    assert numbers(lossy, figure="lead", task="banking", other="travel") == ["0.5"]
    sent = [
        tuple(line[key] for key in ("task", "other", "value", "rows"))
        for line in lines_of(lossy)
        if line["figure"] == "confusion"
    ]
    assert sent == [("banking", "banking", "3", "4"), ("banking", "travel", "1", "4"), ("travel", "travel", "2", "2")]
    assert numbers(lossy, figure="parameters", other="travel@1") == ["1200"]
    assert numbers(lossy, figure="seconds", other="travel@1") == ["2.5"]


def test_every_number_of_the_json_is_in_the_table(lossy: Report) -> None:
    in_table = {float(line[key]) for line in lines_of(lossy) for key in ("value", "low", "high", "rows") if line[key]}
    data = {key: value for key, value in lossy.to_dict().items() if key not in ("generation", "base", "formulas")}
    assert set(_numbers(data)) <= in_table


def _numbers(value: Any) -> Iterator[float]:
    """All numbers below a value, but for those that name rows."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not (key in ("lost", "at_home", "rows") and not isinstance(part, int)):
                yield from _numbers(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def test_names_with_commas_quotes_and_line_breaks_survive(snapshot_of: SnapshotOf) -> None:
    names = ['a,"b"', "c\r\nd", "é;\t"]
    report = build_report(snapshot_of([[0.5] * 3] * 3, names=names))
    assert [line["step"] for line in lines_of(report) if line["figure"] == "steps"] == names * 2


def test_a_portfolio_without_tasks_has_figures_without_numbers(snapshot_of: SnapshotOf) -> None:
    report = build_report(snapshot_of([]))
    assert {line["value"] for line in lines_of(report)} == {""}
    assert dataclasses.asdict(report)["tasks"] == ()

"""The report on a terminal: fits 80 columns, needs no colour, cuts no figure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len

from portfolio.records import Compared, FirstLook, RouterWishes, Snapshot
from portfolio.reports.report import build_report
from portfolio.reports.sections import ends
from portfolio.reports.terminal import print_report
from portfolio.reports.verdict import within

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]
MakeScreen = Callable[..., Any]

N = None
LONG_NAMES = [f"{index:03d}-{'long-name' * 12}" for index in range(60)]


def losing(tasks: int) -> tuple[list[list[float | None]], list[list[float | None]]]:
    """An oracle matrix that stays, and a routed one in which task j loses j hundredths of a point a step."""
    oracle: list[list[float | None]] = [[1.0 - j / 1000 for j in range(tasks)]] * tasks
    routed: list[list[float | None]] = [[0.9 - j * (i - j) / 10_000 for j in range(tasks)] for i in range(tasks)]
    return oracle, routed


def section(lines: list[str], title: str) -> list[str]:
    """The lines under a title, up to the next empty line."""
    start = lines.index(title) + 1
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


def test_both_matrices_stand_below_the_words(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    snapshot = snapshot_of([[1.0, N], [1.0, 0.95]], [[0.9, N], [0.875, N]], ["banking", "travel"])
    print_report(build_report(snapshot), shown.console)
    lines = shown.lines()
    assert lines[0].startswith("banking scores less than when it was added: 90.0 % then, 87.5 % now.")
    assert "2 tasks on the frozen base tiny." in lines
    rows = section(lines, "With the task given: score on a task (column) after each step (row)")
    assert [row.split() for row in rows if "─" not in row] == [
        ["after", "1", "2"],
        ["1", "banking", "100"],
        ["2", "travel", "100", "95.0"],
        ["change", "0.0", "0.0"],
    ]
    rows = section(lines, "Routed: score on a task (column) after each step (row)")
    assert [row.split() for row in rows if "─" not in row] == [
        ["after", "1", "2"],
        ["1", "banking", "90.0"],
        ["2", "travel", "87.5", "-"],
        ["change", "-2.5", "-"],
    ]


def test_each_task_now_has_a_line_and_the_means_close_it(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_report(build_report(snapshot_of([[1.0, N], [1.0, 0.95]], names=["banking", "travel"])), shown.console)
    rows = [row.split() for row in section(shown.lines(), "Each task now")]
    assert rows[2] == ["1", "banking", "20", "100", "100", "50.0", "87.5", "75.0", "62.5"]
    assert rows[4] == ["mean", "of", "all", "tasks", "40", "97.5", "97.5", "50.0", "87.5", "75.0", "62.5"]


def test_every_figure_stands_with_its_formula(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen(width=200)
    print_report(build_report(snapshot_of([[0.9, N], [0.9, 0.9]], [[0.9, N], [0.8, 0.9]])), shown.console)
    figures = "\n".join(section(shown.lines(), "Figures"))
    assert re.search(r"^average accuracy +90\.0 +85\.0 +mean over j of R\[T-1, j\]$", figures, re.MULTILINE)
    assert re.search(r"^BWT +0\.0 +-10\.0 +mean over j < T-1 of R\[T-1, j\] - R\[j, j\]$", figures, re.MULTILINE)
    assert re.search(r"^forgetting +0\.0 +\+10\.0 +mean over j < T-1 of \(max over", figures, re.MULTILINE)
    assert re.search(r"^FWT +- +- +mean over i >= 1", figures, re.MULTILINE)
    assert re.search(r"^routing accuracy +87\.5 +share of test rows", figures, re.MULTILINE)
    assert re.search(r"^right label, wrong adapter +- +share of test rows", figures, re.MULTILINE)


def test_answers_that_are_right_by_another_adapter_are_told_apart(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of([[0.9]])
    cells = tuple(dataclasses.replace(cell, astray_right=0.0625) for cell in snapshot.cells)
    shown = screen(width=200)
    print_report(build_report(dataclasses.replace(snapshot, cells=cells)), shown.console)
    figures = "\n".join(section(shown.lines(), "Figures"))
    assert re.search(r"^right label, wrong adapter +6\.2 +share of test rows", figures, re.MULTILINE)


def test_the_routers_settings_and_calibration_close_the_figures(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of([[0.9]])
    assert snapshot.router is not None
    router = dataclasses.replace(
        snapshot.router,
        wishes=RouterWishes(oos="7" * 64, recall=0.9, fallback="base"),
        first_look=FirstLook(margin=0.5, in_scope=0.0, temperature=1.0),
        ece_before=0.125,
        ece=0.015,
        asked=0.25,
    )
    shown = screen(width=120)
    print_report(build_report(dataclasses.replace(snapshot, router=router)), shown.console)
    assert section(shown.lines(), "Router: settings and calibration") == [
        "abstains      below an in-scope score of -1, chosen to refuse 90.0 % of the out-of-scope examples given",
        "fallback      the bare base: where the router abstains, the nearest class centroid answers",
        "equal labels  are told apart by their task",
        "base asked    for 25.0 % of inputs",
        "calibration   ECE 12.5 % before, 1.5 % after, of P(task | x)",
    ]


def test_costs_are_listed_and_added_up(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_report(build_report(snapshot_of([[1.0, N], [1.0, 1.0]])), shown.console)
    rows = [row.split() for row in section(shown.lines(), "Costs")]
    assert rows[2] == ["task0@1", "bottleneck", "1,200", "5.0", "kB", "2.5", "s", "3", "100"]
    assert rows[4] == ["all", "adapters", "2,400", "10.0", "kB", "5.0", "s"]


@pytest.mark.parametrize("tasks", [0, 1, 2, 10, 12, 13, 40, 60])
def test_nothing_runs_over_80_columns_however_long_the_names(
    snapshot_of: SnapshotOf, screen: MakeScreen, tasks: int
) -> None:
    shown = screen(width=80)
    print_report(build_report(snapshot_of(*losing(tasks), LONG_NAMES[:tasks])), shown.console)
    assert max(map(len, shown.text().splitlines())) <= 80


@pytest.mark.parametrize("tasks", [0, 1, 10, 13])
def test_colour_adds_nothing_to_the_words(snapshot_of: SnapshotOf, screen: MakeScreen, tasks: int) -> None:
    report = build_report(snapshot_of(*losing(tasks)))
    plain, colored = screen(), screen(color=True)
    print_report(report, plain.console)
    print_report(report, colored.console)
    assert "\x1b" not in plain.text()
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored.text()) == plain.text()


def test_losses_are_coloured_by_how_much_was_lost(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen(color=True)
    routed = [[0.9, N, N, N], [0.9, 0.9, N, N], [0.9, 0.9, 0.9, N], [0.895, 0.85, 0.99, 0.9]]
    print_report(build_report(snapshot_of([[0.9] * 4] * 4, routed)), shown.console)
    for code, score in (("33", "89.5"), ("31", "85.0"), ("32", "99.0")):
        assert f"\x1b[{code}m{score}\x1b[0m" in shown.text()


@pytest.mark.parametrize("tasks", [10, 13])
def test_a_terminal_that_knows_only_ascii_is_enough(snapshot_of: SnapshotOf, screen: MakeScreen, tasks: int) -> None:
    shown = screen(encoding="ascii")
    print_report(build_report(snapshot_of(*losing(tasks), LONG_NAMES[:tasks])), shown.console)
    assert "----" in shown.text()


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_never_shows_a_cut_figure(snapshot_of: SnapshotOf, screen: MakeScreen, width: int) -> None:
    """`100` cut to `10`, or `-4.2` to `-4`, would be a wrong figure."""
    shown, wide = screen(width=width), screen(width=200)
    report = build_report(snapshot_of(*losing(12)))
    print_report(report, shown.console)
    print_report(report, wide.console)
    title = "With the task given: score on a task (column) after each step (row)"
    expected = [row.split()[2:] for row in section(wide.lines(), title)[2:-1]]
    assert len(expected) == 12
    lines = shown.lines()
    header = next(index for index, line in enumerate(lines) if line.startswith("after"))
    got = [row.split()[2:] for row in lines[header + 2 : header + 14]]
    assert got == expected


def test_more_than_twelve_tasks_are_shown_as_added_and_now(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_report(build_report(snapshot_of(*losing(13))), shown.console)
    rows = [row.split() for row in section(shown.lines(), "Each task when it was added, and now")]
    assert rows[:2] == [["oracle", "routed"], ["task", "added", "now", "change", "added", "now", "change"]]
    assert rows[3] == ["1", "task0", "100", "100", "0.0", "90.0", "90.0", "0.0"]
    assert rows[9] == ["7", "task6", "99.4", "99.4", "0.0", "90.0", "89.6", "-0.4"]
    assert len(rows) == 3 + 13


def test_of_very_many_tasks_those_that_lost_most_are_listed(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_report(build_report(snapshot_of(*losing(60))), shown.console)
    lines = shown.lines()
    assert any(line.startswith("Listed are the 20 of 60 tasks that lost most when routed.") for line in lines)
    # task j lost j · (59 - j) hundredths of a point: most in the middle, 20 to 39
    expected = [f"task{task}" for task in range(20, 40)]
    assert [row.split()[1] for row in section(lines, "Each task when it was added, and now")[3:]] == expected
    assert [row.split()[1] for row in section(lines, "Each task now")[2:-1]] == expected
    assert [row.split()[0] for row in section(lines, "Costs")[2:-1]] == [f"{name}@1" for name in expected]
    assert section(lines, "Costs")[-1].split()[2] == "72,000"  # all 60, not only those listed


def test_a_base_with_a_strange_name_cannot_steer_the_terminal(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of([[1.0]])
    contract = dataclasses.replace(snapshot.contract, name="[red]\x1b[2J:smile:")
    shown = screen()
    print_report(build_report(dataclasses.replace(snapshot, contract=contract)), shown.console)
    assert "\x1b" not in shown.text()
    assert "[red]\\x1b[2J:smile:" in shown.text()


def report_of(history: Any) -> Any:
    return build_report(history.snapshot, history.load)


@pytest.fixture
def lost(history_of: HistoryOf) -> Any:
    """Task a loses 12 rows of 30 to c, 1 to b, and 1 at home; b loses none."""
    return history_of(
        ("add-task", "a", {"a": "+ " * 29 + "-"}),
        ("add-task", "b", {"a": "+ " * 29 + "-", "b": "+ +"}),
        ("add-task", "c", {"a": "+ " * 15 + "c " * 10 + "c! c! b - +", "b": "+ a", "c": "+ +"}),
    )


def test_changes_stand_with_their_intervals(lost: Any, screen: MakeScreen) -> None:
    shown = screen()
    report = report_of(lost)
    print_report(report, shown.console)
    rows = section(shown.lines(), "Change since each task was added, in points, with 95 % intervals")
    assert [row.split() for row in rows[2:]] == [
        ["1", "a", "30", "-43.3", *ends(report.changes[0].interval).split(), "0.0", "-10.0", "..", "+10.0"],
        ["2", "b", "2", "-50.0", "-100.0", "..", "0.0", "0.0", "0.0", "..", "0.0"],
    ]


def test_why_a_task_lost_is_told_by_taker_with_ten_rows_at_most(lost: Any, screen: MakeScreen) -> None:
    shown, report = screen(width=120), report_of(lost)
    print_report(report, shown.console)
    assert section(shown.lines(), "Why tasks lost, routed, most lost first") == [
        "b: 1 of 2 rows lost, 0 won, -50.0 points (95 % interval -100.0 to 0.0)",
        "  1 to a, by a margin of 0.50; without it 1 would come back: row 1",
        f"a: 14 of 30 rows lost, 1 won, -43.3 points{within(report.changes[0].interval)}",
        "  12 to c, by a margin of 0.50; without it 10 would come back: rows 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 and 2 more",
        "  1 to b, by a margin of 0.50; without it 1 would come back: row 27",
        "  1 at home, where the own adapter says another label: row 28",
    ]


def test_texts_of_lost_rows_take_a_line_each_cut_to_fit(lost: Any, screen: MakeScreen) -> None:
    texts = {"a": {15: "where is\n my card", 16: "\x1b[2J[red]" + "long " * 40, 17: "\u8a71" * 60, 28: "at home"}}
    shown = screen()
    print_report(report_of(lost), shown.console, texts)
    lines = section(shown.lines(), "Why tasks lost, routed, most lost first")
    start = lines.index("  12 to c, by a margin of 0.50; without it 10 would come back:")
    assert lines[start + 1] == "    row 15: where is my card"
    assert lines[start + 2].startswith("    row 16: \\x1b[2J[red]long long")
    assert lines[start + 2].endswith("…")
    assert lines[start + 3].endswith("\u8a71…")
    assert lines[start + 4] == "    row 18"
    assert lines[start + 11] == "    and 2 more"
    assert lines[-1] == "    row 28: at home"
    assert max(cell_len(line) for line in lines) <= 80


def test_rows_whose_answer_is_unknown_are_told_apart(history_of: HistoryOf, screen: MakeScreen) -> None:
    history = history_of(("add-task", "a", {"a": "+ + +"}), ("add-task", "b", {"a": "+ b b?", "b": "+"}))
    shown = screen()
    print_report(report_of(history), shown.console)
    lines = section(shown.lines(), "Why tasks lost, routed, most lost first")
    assert lines[-1] == "  1 more went astray; their answers are not known, as texts were gone"


def test_five_tasks_and_three_takers_are_explained(history_of: HistoryOf, screen: MakeScreen) -> None:
    names = "abcdefg"
    came = [("add-task", name, dict.fromkeys(names[: at + 1], "+ " * 8)) for at, name in enumerate(names)]
    now = {name: "+ + + " + " ".join(other for other in names if other != name)[:9] for name in names[:6]}
    shown = screen()
    print_report(report_of(history_of(*came[:-1], ("add-task", "g", {**now, "g": "+ " * 8}))), shown.console)
    lines = section(shown.lines(), "Why tasks lost, routed, most lost first")
    assert [line[0] for line in lines if line[1] == ":"] == list("abcde")
    assert lines[4] == "  2 to 2 other tasks"
    assert lines[-1] == "1 more task lost less; for all, add --json"


def test_tasks_that_are_taken_for_one_another_are_listed_most_rows_first(lost: Any, screen: MakeScreen) -> None:
    shown = screen()
    print_report(report_of(lost), shown.console)
    assert [row.split() for row in section(shown.lines(), "Test rows that go to another task")[2:]] == [
        ["a", "c", "12", "40.0"],
        ["a", "b", "1", "3.3"],
        ["b", "a", "1", "50.0"],
    ]


def test_of_many_pairs_the_ten_largest_are_listed(history_of: HistoryOf, screen: MakeScreen) -> None:
    names = [f"t{index:02d}" for index in range(12)]
    rows = {name: "t11 " * (at + 1) for at, name in enumerate(names[:11])} | {"t11": "+"}
    came = [("add-task", name, dict.fromkeys(names[: at + 1], "+")) for at, name in enumerate(names[:11])]
    shown = screen()
    print_report(report_of(history_of(*came, ("add-task", "t11", rows))), shown.console)
    listed = section(shown.lines(), "Test rows that go to another task, the 10 largest of 11 groups")[2:]
    assert [row.split()[2] for row in listed] == [str(11 - at) for at in range(10)]


def test_without_kept_rows_none_of_these_sections_stands_empty(lost: Any, screen: MakeScreen) -> None:
    shown = screen()
    print_report(build_report(lost.snapshot), shown.console)
    for title in ("Change since", "Why tasks lost", "Test rows that go", "Gained by", "  95 % interval"):
        assert not any(line.startswith(title) for line in shown.lines())


def test_intervals_of_means_stand_below_them(lost: Any, screen: MakeScreen) -> None:
    shown = screen(width=200)
    report = report_of(lost)
    print_report(report, shown.console)
    figures = section(shown.lines(), "Figures")
    at = next(index for index, line in enumerate(figures) if line.startswith("BWT"))
    interval = report.routed.bwt_interval
    assert figures[at + 1].split()[:4] == ["95", "%", "interval", "-5.0"]
    assert f"{100 * interval.low:+.1f} .." in figures[at + 1]
    assert f"{100 * interval.high:+.1f}" in figures[at + 2]


def test_the_worst_task_is_named(lost: Any, screen: MakeScreen) -> None:
    shown = screen(width=200)
    print_report(report_of(lost), shown.console)
    figures = "\n".join(section(shown.lines(), "Figures"))
    assert re.search(r"^worst task +96.7 +50.0 +min over j of R\[T-1, j\]; routed: b$", figures, re.MULTILINE)
    assert re.search(r"^routing loss +\+31.1 +mean over j of oracle", figures, re.MULTILINE)


def test_what_earlier_adapters_gained_has_a_line_a_task(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of([[1.0, N], [1.0, 1.0]])
    kept = {"made_of": "m@1", "parameters": 1, "seconds": 1.0}
    fused = (
        Compared(choice="fusion", score=0.875, p_value=None, is_kept=True, **kept),
        Compared(choice="own", score=0.75, p_value=0.003, is_kept=False, **kept),
    )
    own = (dataclasses.replace(fused[1], is_kept=True, p_value=None),)
    first, second = snapshot.adapters
    adapters = dataclasses.replace(first, comparison=fused), dataclasses.replace(second, comparison=own)
    shown = screen()
    print_report(build_report(dataclasses.replace(snapshot, adapters=adapters)), shown.console)
    assert [row.split() for row in section(shown.lines(), "Gained by earlier adapters, on validation rows")[2:]] == [
        ["task0", "fusion", "(bottleneck)", "+12.5", "p", "=", ".003"],
        ["task1", "own", "(bottleneck)", "0.0", "-"],
    ]
    assert "To use earlier adapters gains +6.2 points" in " ".join(shown.lines())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_was_found_fits_80_columns_however_long_the_names(
    history_of: HistoryOf, screen: MakeScreen, encoding: str
) -> None:
    names = LONG_NAMES[:14]
    came = [("add-task", name, dict.fromkeys(names[: at + 1], "+ " * 12)) for at, name in enumerate(names[:13])]
    rows = {name: "+ " + f"{names[-1]} " * 11 for name in names[:13]} | {names[-1]: "+"}
    history = history_of(*came, ("add-task", names[-1], rows))
    plain, colored = screen(encoding=encoding), screen(encoding=encoding, color=True)
    texts = {names[0]: {3: "w\u00f6rter " * 30}}
    for shown in (plain, colored):
        print_report(report_of(history), shown.console, texts)
    assert max(map(len, plain.text().splitlines())) <= 80
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored.text()) == plain.text()

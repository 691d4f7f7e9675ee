"""The report as PNGs: all of them, whole, and different where the report is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from portfolio.errors import ConfigError, Unwritable
from portfolio.records import Snapshot
from portfolio.reports.pictures import draw_pictures
from portfolio.reports.report import Report, build_report
from portfolio.reports.shades import COLOURS

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]

N = None
NAMES = ["results-oracle.png", "results-routed.png", "scores-over-time.png", "changes.png", "confusion.png"]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def lossy(history_of: HistoryOf, rows: str = "+ travel travel -") -> Report:
    history = history_of(
        ("add-task", "banking", {"banking": "+ + + -"}),
        ("add-task", "travel", {"banking": rows, "travel": "+ +"}),
    )
    return build_report(history.snapshot, history.load)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))]


def test_five_pictures_are_written_into_a_new_directory(history_of: HistoryOf, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "pictures"
    written = draw_pictures(lossy(history_of), directory)
    assert written == [directory / name for name in NAMES] and sorted(directory.iterdir()) == sorted(written)
    assert all(file.read_bytes().startswith(SIGNATURE) for file in written)


def test_pictures_differ_where_the_report_does_and_only_there(history_of: HistoryOf, tmp_path: Path) -> None:
    drawn = {}
    for name, rows in (("one", "+ travel travel -"), ("same", "+ travel travel -"), ("other", "+ + travel -")):
        draw_pictures(lossy(history_of, rows), tmp_path / name)
        drawn[name] = {file: (tmp_path / name / file).read_bytes() for file in NAMES}
    assert drawn["one"] == drawn["same"]
    changed = {file for file in NAMES if drawn["one"][file] != drawn["other"][file]}
    assert changed == set(NAMES) - {"results-oracle.png"}


def test_cells_hold_scores_and_the_colour_of_their_change(
    history_of: HistoryOf, figures: list[Figure], tmp_path: Path
) -> None:
    draw_pictures(lossy(history_of), tmp_path)
    [axes] = figures[1].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1 banking", "2 travel"]
    assert words(figures[1])[:3] == ["75.0", "25.0", "100"], "nothing for a task that came later"
    [image] = axes.images
    colours = [[to_hex(colour) for colour in row] for row in image.get_array()]
    assert colours == [[COLOURS[0][0], "#ffffff"], [COLOURS[-4][0], COLOURS[0][0]]]


def test_changes_have_bars_and_intervals(history_of: HistoryOf, figures: list[Figure], tmp_path: Path) -> None:
    report = lossy(history_of)
    draw_pictures(report, tmp_path)
    [axes] = figures[3].axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([-50.0, 0.0])
    interval = report.changes[0].interval
    assert interval is not None
    whiskers = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"]
    assert whiskers[0] == pytest.approx([100 * interval.low, 100 * interval.high])
    assert "−50.0" in words(figures[3])


def test_scores_over_time_are_one_panel_a_task_on_one_scale(
    history_of: HistoryOf, figures: list[Figure], tmp_path: Path
) -> None:
    draw_pictures(lossy(history_of), tmp_path)
    axes = figures[2].axes
    assert [one.get_title(loc="left") for one in axes] == ["mean of tasks so far", "1 banking", "2 travel"]
    assert len({one.get_ylim() for one in axes}) == 1
    assert list(axes[1].lines[-1].get_ydata()) == [75.0, 25.0]


def test_what_is_not_known_is_said(snapshot_of: SnapshotOf, figures: list[Figure], tmp_path: Path) -> None:
    draw_pictures(build_report(snapshot_of([])), tmp_path)
    assert [words(figure) for figure in figures] == [
        ["no task yet"],
        ["no task yet"],
        ["no task yet"],
        ["no task was measured both when it was added and now"],
        ["where single test rows go was not kept"],
    ]


def test_of_very_many_tasks_cells_are_colours_and_the_worst_are_drawn(
    snapshot_of: SnapshotOf, figures: list[Figure], tmp_path: Path
) -> None:
    rows = [[0.9 - (0.2 if j == 30 and i > j else 0) if j <= i else N for j in range(41)] for i in range(41)]
    draw_pictures(build_report(snapshot_of(rows)), tmp_path)
    assert len(figures[1].axes[0].texts) == 2, "the title and what is below it"
    assert "31 task30" in [axes.get_title(loc="left") for axes in figures[2].axes]
    assert len(figures[3].axes[0].get_yticklabels()) == 40
    assert all(max(figure.get_size_inches()) <= 20 for figure in figures)


def test_names_are_drawn_as_they_are(snapshot_of: SnapshotOf, figures: list[Figure], tmp_path: Path) -> None:
    draw_pictures(build_report(snapshot_of([[0.5, N], [0.5, 0.5]], names=["$\\frac$", "猫" * 30])), tmp_path)
    labels = figures[1].axes[0].get_yticklabels()
    assert labels[0].get_text() == "1 $\\frac$" and not any(label.get_parse_math() for label in labels)
    assert labels[1].get_text().startswith("2 \\u732b") and len(labels[1].get_text()) <= 42
    assert figures[2].axes[1].get_title(loc="left") == "1 $\\frac$", "as mathematics it could not even be drawn"


def test_the_callers_own_plots_are_left_as_they_are(history_of: HistoryOf, tmp_path: Path) -> None:
    settings, had_pyplot = matplotlib.rcParams.copy(), "matplotlib.pyplot" in sys.modules
    draw_pictures(lossy(history_of), tmp_path)
    assert matplotlib.rcParams.copy() == settings and ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_without_matplotlib_it_is_said_what_to_install_and_nothing_is_written(
    history_of: HistoryOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'adapter-portfolio\[plot\]'"):
        draw_pictures(lossy(history_of), tmp_path / "pictures")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(snapshot_of: SnapshotOf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(Unwritable, match="file cannot be made: .*; name another directory"):
        draw_pictures(build_report(snapshot_of([])), tmp_path / "file")

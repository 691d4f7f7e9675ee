"""The report as a page: whole, alone, escaped, and with every number."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from portfolio.errors import Unwritable
from portfolio.records import Snapshot
from portfolio.reports.findings import Gain
from portfolio.reports.formulas import FORMULAS
from portfolio.reports.page import page_of, write_page
from portfolio.reports.report import Report, build_report

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]

N = None
AT = "2026-03-04T10:11:09Z"
VOID = {"meta", "br", "hr", "link", "img", "input", "col"}


class Walk(HTMLParser):
    """Reads a page strictly: every element is closed, in order; keeps each table as rows of texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("path", "circle", "rect")
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def table(self, first: str, second: str) -> list[list[str]]:
        """The table whose heading begins like this."""
        return next(table for table in self.tables if [cell.strip() for cell in table[0][:2]] == [first, second])


@pytest.fixture
def lossy(history_of: HistoryOf) -> Report:
    """Three tasks; of 25 rows of banking, travel takes 8 and one is lost at home."""
    before, after = "+ " * 24 + "-", "+ " * 15 + "travel " * 7 + "travel! - +"
    history = history_of(
        ("add-task", "banking", {"banking": before}),
        ("add-task", "cards", {"banking": before, "cards": "+ + + -"}),
        ("add-task", "travel", {"banking": after, "cards": "+ + + -", "travel": "+ +"}),
    )
    return build_report(history.snapshot, history.load)


def every_size(snapshot_of: SnapshotOf, tasks: int) -> Report:
    rows = [[0.95 - j / 10_000 - (i - j) / 5_000 if j <= i else N for j in range(tasks)] for i in range(tasks)]
    return build_report(snapshot_of([[0.99] * tasks] * tasks, rows))


@pytest.mark.parametrize("tasks", [0, 1, 2, 13, 16, 41, 120])
def test_the_page_is_well_formed_and_needs_nothing_else_at_any_size(snapshot_of: SnapshotOf, tasks: int) -> None:
    page = page_of(every_size(snapshot_of, tasks), AT)
    walk = Walk(page)
    assert page.startswith("<!doctype html>") and '<html lang="en">' in page
    assert "<script" not in page and "http://" not in page and "https://" not in page and "url(" not in page
    links = [value for _, name, value in walk.attributes if name in ("src", "href", "srcset", "data")]
    assert all(value is not None and value.startswith("#") for value in links)
    assert "default-src 'none'" in page and 'name="viewport"' in page
    assert len(page) < 1_000_000


def test_links_within_the_page_lead_somewhere(lossy: Report) -> None:
    walk = Walk(page_of(lossy, AT))
    ids = [value for _, name, value in walk.attributes if name == "id"]
    links = [str(value)[1:] for _, name, value in walk.attributes if name == "href"]
    assert links and set(links) <= set(ids) and len(set(ids)) == len(ids)


def test_a_portfolio_without_tasks_is_told_what_to_type(snapshot_of: SnapshotOf) -> None:
    walk = Walk(page_of(every_size(snapshot_of, 0), AT))
    assert "portfolio add-task NAME --train FILE" in walk.text and walk.tables == []


def test_the_title_says_base_and_date_and_the_verdict_comes_first(lossy: Report) -> None:
    walk = Walk(page_of(lossy, AT))
    assert "Forgetting report: tiny" in walk.text and "2026-03-04 10:11 UTC" in walk.text
    assert "banking got worse" in walk.text[: walk.text.index("Results matrices")]


def test_both_matrices_hold_every_score_and_nothing_for_what_came_later(snapshot_of: SnapshotOf) -> None:
    report = build_report(snapshot_of([[1.0, N], [1.0, 0.95]], [[0.9, N], [0.875, N]], ["banking", "travel"]))
    routed, oracle = (table for table in Walk(page_of(report, AT)).tables if table[0][0] == "after")
    assert routed == [["after", "1", "2"], ["1 banking", "90.0", ""], ["2 travel", "87.5", "–"]]
    assert oracle == [["after", "1", "2"], ["1 banking", "100", ""], ["2 travel", "100", "95.0"]]


def test_what_was_not_measured_is_never_0(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[N, N], [N, N]])
    bare = tuple(dataclasses.replace(cell, routing=N, coverage=N, selective=N, floor=N) for cell in snapshot.cells)
    walk = Walk(page_of(build_report(dataclasses.replace(snapshot, cells=bare)), AT))
    scores = [cell for table in walk.tables for row in table[1:] for cell in row[2:] if re.fullmatch(r"[\d.]+", cell)]
    assert "0" not in scores and "0.0" not in scores
    now = walk.table("task", "rows")
    assert [row[2:5] for row in now[1:]] == [["–"] * 3] * 2
    _, *tasks, _ = next(table for table in walk.tables if "coverage" in table[0])
    assert all(cell == "–" for row in tasks for cell in row[2:])


def test_a_cell_is_coloured_by_its_change_and_the_number_says_it_too(lossy: Report) -> None:
    page = page_of(lossy, AT)
    assert '<td class="added">96.0</td>' in page
    assert '<td class="loss-4">64.0</td>' in page


def test_changes_stand_with_their_intervals_and_forgetting(lossy: Report) -> None:
    change = lossy.changes[0]
    assert change.interval is not None
    _, banking, cards, travel = Walk(page_of(lossy, AT)).table("task", "rows")
    low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in (change.interval.low, change.interval.high))
    assert banking[:6] == ["1 banking", "25", "96.0", "64.0", "−32.0", f"{low} to {high}"] and banking[-1] == "32.0"
    assert cards[2:5] == ["75.0", "75.0", "0.0"] and travel[-1] == "–"


def test_who_took_rows_which_ones_and_what_would_return(lossy: Report) -> None:
    walk = Walk(page_of(lossy, AT))
    _, taker, home = [[" ".join(cell.split()) for cell in row] for row in walk.table("taken by", "rows")]
    assert taker == ["travel", "8", "0.50", "7", "15, 16, 17, 18, 19, 20, 21, 22"]
    assert home == ["stay at home", "1", "–", "–", "23"]
    assert "Of 25 test rows, 9 right then are wrong now, 1 wrong then is right now." in walk.text


def test_texts_stand_beside_their_rows_where_they_are_given(lossy: Report) -> None:
    page = page_of(lossy, AT, {"banking": {15: "is <b>this</b> mine?", 16: "x" * 500}})
    assert "row 15</span> is &lt;b&gt;this&lt;/b&gt; mine?" in page
    assert "x" * 239 + "…" in page and "x" * 240 not in page
    assert "row 17</span> (no text)" in page


def test_where_rows_went_is_a_table_of_counts_or_a_list_of_the_largest(lossy: Report, history_of: HistoryOf) -> None:
    table = Walk(page_of(lossy, AT)).table("task", "1")
    assert table[1:] == [["1 banking", "17", "0", "8"], ["2 cards", "0", "4", "0"], ["3 travel", "0", "0", "2"]]
    names = [f"t{task}" for task in range(16)]
    before = {name: "+ +" for name in names}
    after = before | {"t3": "t5 t5", "t4": "t9 +"}
    steps = [{one: before[one] for one in names[: step + 1]} for step in range(15)]
    history = history_of(*(("add-task", name, rows) for name, rows in zip(names, [*steps, after], strict=True)))
    table = Walk(page_of(build_report(history.snapshot, history.load), AT)).table("rows of", "sent to")
    assert table[1:] == [["t3", "t5", "2", "100"], ["t4", "t9", "1", "50.0"]]


def test_without_kept_rows_reasons_are_not_made_up(snapshot_of: SnapshotOf) -> None:
    walk = Walk(page_of(every_size(snapshot_of, 3), AT))
    assert "There are no intervals" in walk.text and "only the tasks whose rows were kept" in walk.text
    assert "No task has lost" not in walk.text
    assert "where single test rows went was not kept" in walk.text


def test_gains_costs_and_router_are_there(lossy: Report) -> None:
    gain = Gain(task="cards", method="fusion", kept="fusion", gain=0.012, p_value=0.034)
    walk = Walk(page_of(dataclasses.replace(lossy, gains=(gain,)), AT))
    assert walk.table("task", "method")[1] == ["cards", "fusion", "fusion", "+1.2", "p = .034"]
    costs = walk.table("adapter", "method")
    assert costs[1] == ["banking@1", "bottleneck", "1,200", "5.0 kB", "2.5 s", "3", "100"]
    assert costs[-1][2:5] == ["3,600", "15.0 kB", "7.5 s"]


def test_every_formula_is_on_the_page(lossy: Report) -> None:
    text = Walk(page_of(lossy, AT)).text
    assert [key for key, formula in FORMULAS.items() if " ".join(formula.split()) not in text] == []


def test_every_figure_is_on_the_page(lossy: Report) -> None:
    figures = {row[0]: row[1:3] for row in Walk(page_of(lossy, AT)).table("figure", "oracle")[1:]}
    assert figures["average accuracy"] == [
        f"{100 * results.average_accuracy:.1f}"
        for results in (lossy.oracle, lossy.routed)
        if results.average_accuracy is not None
    ]
    assert figures["forgetting"] == ["0.0", "16.0"] and figures["BWT"] == ["0.0", "−16.0"]
    assert figures["worst task"] == ["75.0", "64.0"]
    assert lossy.routing_loss is not None and figures["routing loss"] == ["", f"{100 * lossy.routing_loss:.1f}"]


def test_names_and_words_of_users_are_escaped(snapshot_of: SnapshotOf) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a&b'c", "x" * 128]
    rows = [[0.9 - (i - j) / 50 if j <= i else N for j in range(4)] for i in range(4)]
    page = page_of(build_report(snapshot_of(rows, rows, names)), AT)
    walk = Walk(page)
    assert "<script" not in page and "<img" not in page
    assert not any(name.startswith("on") for _, name, _ in walk.attributes)
    assert all(f"{number} {name}" in walk.texts for number, name in enumerate(names, start=1))


def test_of_very_many_tasks_those_that_lost_most_are_listed(snapshot_of: SnapshotOf) -> None:
    rows = [[0.9 - (0.1 if j == 100 and i > j else 0) if j <= i else N for j in range(120)] for i in range(120)]
    walk = Walk(page_of(build_report(snapshot_of(rows)), AT))
    changes = walk.table("task", "rows")
    assert len(changes) == 21 and "101 task100" in [row[0] for row in changes]
    assert "portfolio report --json" in walk.text and not any(table[0][0] == "after" for table in walk.tables)


def test_equal_reports_give_equal_pages(lossy: Report) -> None:
    assert page_of(lossy, AT) == page_of(lossy, AT)


@pytest.mark.parametrize("theme", [0, 1])
def test_words_are_readable_on_paper_and_shades(lossy: Report, theme: int) -> None:
    page = page_of(lossy, AT)
    colours = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]*)\}", page)]
    chosen = colours[theme]
    assert len(colours) == 2
    assert all(contrast(chosen["paper"], chosen[name]) >= 4.5 for name in ("ink", "quiet", "accent"))
    assert contrast(chosen["shade0"], chosen["quiet"]) >= 4.5, "counts of 0"
    shades = re.findall(r"--shade-?\d: (#\w{6})", re.findall(r":root \{([^}]*)\}", page)[theme])
    assert len(shades) == 9 and all(contrast(shade, chosen["on-shade"]) >= 4.5 for shade in shades)
    assert all(contrast(chosen["paper"], chosen[name]) >= 2.5 for name in ("loss", "gain", "mean")), "pictures"


def test_the_page_is_written_whole_as_utf8(lossy: Report, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_page(lossy, file, AT, {"banking": {15: "猫"}})
    assert file.read_text("utf-8") == page_of(lossy, AT, {"banking": {15: "猫"}})
    with pytest.raises(Unwritable, match="cannot be written"):
        write_page(lossy, tmp_path / "no" / "report.html", AT)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05) of relative luminances."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

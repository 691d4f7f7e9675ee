"""What a report finds, on a terminal: changes with their intervals, why tasks lost, who takes whose rows, gains."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from portfolio.reports.findings import Confusion, Texts
from portfolio.reports.gains import OWN
from portfolio.reports.losses_terminal import print_losses
from portfolio.reports.report import Report
from portfolio.reports.sections import change_cells, numbered, print_section, print_title
from portfolio.reports.tables import figures_table, texts_table
from portfolio.reports.wording import NOTHING, chance, count, percent, points

_PAIRS = 10


def print_findings(report: Report, listed: Sequence[int], texts: Texts, console: Console) -> None:
    """As many sections as there is something to say in.

    Args:
        listed: numbers of the tasks to list.
        texts: of lost rows, by task and row.
    """
    earlier = [task for task in listed if task < len(report.tasks) - 1]  # the last has had no time to change
    if any(report.changes[task].interval for task in earlier):
        title = "Change since each task was added, in points, with 95 % intervals"
        print_section(title, _changes(report, earlier, console), console)
    if report.losses:
        print_title("Why tasks lost, routed, most lost first", console)
        print_losses(report.losses, texts, console)
    if report.confusion is not None and (pairs := _astray(report.confusion)):
        most = f", the {_PAIRS} largest of {count(len(pairs), 'group')}" if len(pairs) > _PAIRS else ""
        print_section(f"Test rows that go to another task{most}", _confusion(report.confusion, pairs, console), console)
    if report.gains:
        print_section("Gained by earlier adapters, on validation rows", _gains(report, console), console)


def _changes(report: Report, listed: Sequence[int], console: Console) -> RenderableType:
    rows: list[list[str | Text]] = []
    for name, task in zip(numbered(report.tasks, listed), listed, strict=True):
        routed, oracle = report.changes[task], report.oracle_changes[task]
        rows.append([name, count(routed.rows), *change_cells(routed), *change_cells(oracle)])
    return figures_table(["task", "rows", "routed", "from .. to", "oracle", "from .. to"], rows, console)


def _astray(confusion: Confusion) -> list[tuple[int, int, int]]:
    """Rows, their task, and the task that they go to; most rows first."""
    pairs = [
        (rows, task, to)
        for task, counts in enumerate(confusion.counts)
        if sum(counts) != counts[task]  # of a thousand tasks most have no such row
        for to, rows in enumerate(counts)
        if rows and task != to
    ]
    return sorted(pairs, key=lambda pair: -pair[0])


def _confusion(confusion: Confusion, pairs: Sequence[tuple[int, int, int]], console: Console) -> Table:
    rows = [
        [confusion.tasks[task], confusion.tasks[to], count(rows), percent(rows / sum(confusion.counts[task]))]
        for rows, task, to in pairs[:_PAIRS]
    ]
    return texts_table(["task", "goes to", "rows", "% of task"], rows, console, texts=2)


def _gains(report: Report, console: Console) -> Table:
    rows = [
        [
            gain.task,
            f"{gain.kept} ({gain.method})",
            points(gain.gain),
            NOTHING if gain.kept == OWN else chance(gain.p_value),
        ]
        for gain in report.gains
    ]
    return texts_table(["task", "kept", "points", "against own"], rows, console, texts=2)

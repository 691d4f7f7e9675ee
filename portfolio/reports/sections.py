"""What the sections of a report on a terminal share: a title above a table, numbered tasks, coloured changes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from portfolio.reports.findings import Change, Interval
from portfolio.reports.tables import print_table
from portfolio.reports.wording import NOTHING, points

_CLEAR_LOSS = 0.01  # of a score; a smaller one is coloured less loudly


def print_section(title: str, table: RenderableType, console: Console) -> None:
    """The table below its title and an empty line."""
    print_title(title, console)
    print_table(table, console)


def print_title(title: str, console: Console) -> None:
    """A title below an empty line."""
    console.print()
    console.print(Text(title, style="bold"))


def numbered(tasks: Sequence[str], listed: Sequence[int]) -> list[str]:
    """The names of those listed, each behind its number, counted from 1."""
    digits = len(str(len(tasks)))
    return [f"{task + 1:>{digits}} {tasks[task]}" for task in listed]


def colored(text: str, change: float | None) -> Text:
    """Green for a gain, yellow for a loss, red for a clear one."""
    if not change:
        return Text(text)
    if change > 0:
        return Text(text, style="green")
    return Text(text, style="red" if change <= -_CLEAR_LOSS else "yellow")


def change_cells(change: Change) -> tuple[Text, str]:
    """A change in points, and its interval."""
    return colored(points(change.change), change.change), ends(change.interval)


def ends(interval: Interval | None) -> str:
    """`-8.0 .. -2.0`, in points."""
    return NOTHING if interval is None else f"{points(interval.low)} .. {points(interval.high)}"

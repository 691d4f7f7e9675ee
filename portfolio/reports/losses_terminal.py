"""Why tasks lost, on a terminal: who took their rows, by how much, and which rows these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from portfolio.reports.findings import Loss, Taker, Texts
from portfolio.reports.verdict import within
from portfolio.reports.wording import count, plain, points

_TASKS = 5
_TAKERS = 3
_ROWS = 10
_INDENT = 2
_LONGEST_LINE = 200  # columns, where the terminal has more


def print_losses(losses: Sequence[Loss], texts: Texts, console: Console) -> None:
    """A paragraph a task, of the first of them; a row that has a text stands on a line of its own, cut to fit."""
    for loss in losses[:_TASKS]:
        _print(_heading(loss), 0, console, style="bold")
        for taker in loss.takers[:_TAKERS]:
            _print_rows(_taken(taker), taker.rows, texts.get(loss.task, {}), console)
        if more := loss.takers[_TAKERS:]:
            rows = sum(len(taker.rows) for taker in more)
            _print(f"{rows:,} to {count(len(more), 'other task')}", 1, console)
        if loss.at_home:
            stayed = f"{len(loss.at_home):,} at home, where the own adapter says another label"
            _print_rows(stayed, loss.at_home, texts.get(loss.task, {}), console)
        if loss.unasked:
            _print(f"{loss.unasked:,} more went astray; their answers are not known, as texts were gone", 1, console)
    if len(losses) > _TASKS:
        more_tasks = count(len(losses) - _TASKS, "more task")
        console.print(Text(f"{more_tasks} lost less; for all, add --json", style="dim"))


def _heading(loss: Loss) -> str:
    return (
        f"{loss.task}: {len(loss.lost):,} of {count(loss.rows, 'row')} lost, {loss.won:,} won, "
        f"{points(loss.change)} points{within(loss.interval)}"
    )


def _taken(taker: Taker) -> str:
    margin = f"{len(taker.rows):,} to {taker.task}, by a margin of {taker.lead:.2f}"
    return f"{margin}; without it {taker.would_return:,} would come back"


def _print_rows(what: str, rows: Sequence[int], texts: Mapping[int, str], console: Console) -> None:
    more = f" and {len(rows) - _ROWS:,} more" if len(rows) > _ROWS else ""
    if not any(row in texts for row in rows[:_ROWS]):
        noun = "row" if len(rows) == 1 else "rows"
        _print(f"{what}: {noun} {', '.join(map(str, rows[:_ROWS]))}{more}", 1, console)
        return
    _print(f"{what}:", 1, console)
    for row in rows[:_ROWS]:
        _print_text(f"row {row}: {' '.join(texts[row].split())}" if row in texts else f"row {row}", console)
    if more:
        _print(more.strip(), 2, console)


def _print_text(text: str, console: Console) -> None:
    """The text on one line, cut to fit."""
    line = Text(plain(text, console))
    widest = min(console.width, _LONGEST_LINE) - 2 * _INDENT
    if line.cell_len > widest:
        line.truncate(widest - 1, overflow="crop")  # which fills up with a blank where a wide character is cut
        line.rstrip()
        line.append("~" if console.options.ascii_only else "…")
    console.print(Text(" " * 2 * _INDENT) + line, soft_wrap=True)


def _print(line: str, depth: int, console: Console, style: str = "") -> None:
    """The line, over as many as it takes."""
    text = Text(plain(line, console), style=style, overflow="fold")
    console.print(Padding(text, (0, 0, 0, depth * _INDENT), expand=False))

"""The standings on a terminal: plain words first, then a table for each reading, then costs."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from portfolio.reports.standings import PORTFOLIO, Standings
from portfolio.reports.standings_table import BY_ROWS, standings_tables
from portfolio.reports.standings_words import standings_in_words
from portfolio.reports.tables import figures_table, print_table
from portfolio.reports.wording import plain

_WIDE_ENOUGH = 90  # columns, for every figure beside the names


def print_standings(standings: Standings, console: Console) -> None:
    """Write them to `console`; 80 columns are enough, and nothing is said by colour alone."""
    for sentence in standings_in_words(standings):
        console.print(Text(plain(sentence.replace("×", "x") if console.options.ascii_only else sentence, console)))
    legends: list[str] = []
    for table in standings_tables(standings, plus_minus="+-" if console.options.ascii_only else "±"):
        console.print()
        console.print(Text(table.title, style="bold"))
        shown = [
            column for column, header in enumerate(table.headers) if header != BY_ROWS or console.width >= _WIDE_ENOUGH
        ]
        rows = [
            [Text(row[column], style="bold" if row[0] == PORTFOLIO else "") for column in shown] for row in table.rows
        ]
        print_table(figures_table([table.headers[column] for column in shown], rows, console), console)
        legends += [table.legend] if table.legend not in legends else []
    for legend in legends:
        console.print()
        written = legend.replace("±", "+-") if console.options.ascii_only else legend
        console.print(Text(plain(written, console), style="dim"))

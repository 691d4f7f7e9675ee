"""What a gate found of a version: on a terminal, and as data.

Each finding is a line of the table and a sentence below it. Nothing is said by colour alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, Figure, Finding, Verdict
from portfolio.reports.wording import count, digits, moment, percent, plain

_STYLES = {PASS: "green", INCONCLUSIVE: "yellow", BLOCK: "bold red"}
_INDENT = 2
_GAP = 2
_NARROWEST_REASON = 24  # columns
_WIDEST = 28  # of a column of names
_LISTED_ROWS = 8
# Figures that are no shares are written as they are, the others as percentages.
_PLAIN = (
    "bytes",
    "parameters",
    "rows",
    "wrong",
    "lost",
    "won",
    "faults",
    "sites",
    "difference",
    "texts that do not",
    "p",
)


def print_gate(verdict: Verdict, console: Console) -> None:
    """Write the outcome, every finding with its figure and its reason, and what was looked at; any width does."""
    compared = f", compared with {verdict.champion}" if verdict.champion else ", with no champion to compare with"
    first = Text(verdict.outcome, style=_STYLES[verdict.outcome]).append(f" {verdict.ref}", style="bold")
    console.print(first.append(compared, style="none"), soft_wrap=True)
    console.print()
    _print_findings(verdict, console)
    console.print()
    for line in _looked_at(verdict):
        console.print(Text(plain(line, console), style="dim"), soft_wrap=True)


def gate_to_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON holds it."""
    return {**dataclasses.asdict(verdict), "data": [list(pair) for pair in verdict.data]}


def figure_in_words(finding: Finding) -> str:
    """The figure that decided against its bound: `loss 4.2 % > 2.0 %`; nothing where there is none.

    The sign between is the one that holds, not the one that was asked for.
    """
    if not finding.figures:
        return ""
    figure = finding.figures[0]
    if figure.value is None:
        return f"{figure.name} not measured"
    written = f"{figure.name} {_written(figure, figure.value)}"
    return written if figure.bound is None else f"{written} {_sign(figure)} {_written(figure, figure.bound)}"


def _print_findings(verdict: Verdict, console: Console) -> None:
    outcomes = [finding.outcome for finding in verdict.findings]
    rules = [plain(finding.rule, console) for finding in verdict.findings]
    subjects = [plain(finding.subject, console) for finding in verdict.findings]
    figures = [plain(figure_in_words(finding), console) for finding in verdict.findings]
    header = ("outcome", "rule", "subject", "figure")
    widths = [
        min(max(map(cell_len, (title, *cells))), _WIDEST)
        for title, cells in zip(header[:3], (outcomes, rules, subjects), strict=True)
    ]
    console.print(Text(_line(header, widths, console), style="bold"), soft_wrap=True)
    for finding, *cells in zip(verdict.findings, outcomes, rules, subjects, figures, strict=True):
        line = Text(_line(cells, widths, console))
        line.stylize(_STYLES[finding.outcome], 0, len(finding.outcome))
        console.print(line, soft_wrap=True)
        _print_reason(finding, console)


def _print_reason(finding: Finding, console: Console) -> None:
    reason = Text(plain(finding.reason + _rows(finding), console), style="dim")
    for line in reason.wrap(console, max(console.width - _INDENT, _NARROWEST_REASON)):
        line.rstrip()
        console.print(Text(" " * _INDENT).append_text(line), soft_wrap=True)


def _line(cells: tuple[str, ...] | list[str], widths: list[int], console: Console) -> str:
    """Names cut to their columns, the figure whole."""
    mark = "~" if console.options.ascii_only else "…"
    kept = [
        set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + mark, width)
        for cell, width in zip(cells, widths, strict=False)
    ]
    return (" " * _GAP).join((*kept, cells[-1])).rstrip()


def _rows(finding: Finding) -> str:
    if not finding.rows:
        return ""
    listed = ", ".join(map(count, finding.rows[:_LISTED_ROWS]))
    more = ", …" if len(finding.rows) > _LISTED_ROWS else ""
    return f" (rows {listed}{more})"


def _looked_at(verdict: Verdict) -> list[str]:
    data = [f"data: {name}, {digits(digest)}" for name, digest in verdict.data]
    judged = f"adapter {digits(verdict.adapter)}, rules {digits(verdict.gates)}"
    return [judged + (f", {moment(verdict.at)}" if verdict.at else ""), *data]


def _sign(figure: Figure) -> str:
    value, bound = figure.value, figure.bound
    assert value is not None and bound is not None
    kept = {">=": value >= bound, "<=": value <= bound, ">": value > bound}.get(figure.relation, True)
    return figure.relation if kept else {">=": "<", "<=": ">", ">": "<="}[figure.relation]


def _written(figure: Figure, value: float) -> str:
    if " to the " in figure.name:
        return f"{value:,.3g}"
    return f"{value:,.6g}" if figure.name in _PLAIN else f"{percent(value)} %"

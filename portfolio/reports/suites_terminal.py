"""Shared evaluation suites on a terminal: which there are, their rows, and what adapters make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from portfolio.reports.suites import Divergence, Suite, SuiteReport, SuiteRun
from portfolio.reports.tables import figures_table, print_table, texts_table
from portfolio.reports.wording import NOTHING, count, digits, percent, plain
from portfolio.tasks.suite_file import SuiteText

NO_SUITES = "There is no suite yet. Add one with: portfolio suite add NAME FILE"
_LISTED_ROWS = 8  # that an adapter misses
_LISTED_PAIRS = 40  # those furthest apart
_PAIR_COLUMNS = ("pair", "distance", "labels shared", "different")
_LEGEND = (
    "met: of the rows that ask something of it, in %; distance: mean 1 - cosine of pooled final states; different: texts "
    "with another label, in %, among the labels that both know"
)


def suites_to_dict(suites: Sequence[Suite]) -> list[dict[str, Any]]:
    """By name."""
    fields = ("name", "rows", "digest", "source", "added_at")
    return [{field: getattr(suite, field) for field in fields} for suite in suites]


def print_suites(suites: Sequence[Suite], console: Console) -> None:
    """Write one line a suite."""
    if not suites:
        console.print(Text(NO_SUITES))
        return
    rows = [[one.name, count(one.rows), digits(one.digest), one.added_at[:10], one.source] for one in suites]
    print_table(figures_table(["suite", "rows", "digest", "added", "read from"], rows, console), console)


def print_suite(rows: Sequence[SuiteText], console: Console) -> None:
    """Write each row with what it expects."""
    cells = [[_text(row), expectation_in_words(row), count(number)] for number, row in enumerate(rows, start=1)]
    print_table(texts_table(["text", "expects", "row"], cells, console, texts=2), console)


def expectation_in_words(row: SuiteText) -> str:
    """`says card, goes to billing`"""
    said = [
        *([f"says {row.label}"] if row.label is not None else []),
        *([f"never says {row.never}"] if row.never is not None else []),
        *([f"at most {percent(row.at_most)} % sure"] if row.at_most is not None else []),
        *([f"goes to {row.task}"] if row.task is not None else []),
        *(["is refused"] if row.abstain else []),
    ]
    return ", ".join(said) or "nothing"


def print_suite_report(report: SuiteReport, console: Console) -> None:
    """Write each suite: what each adapter meets, then how far they are from each other."""
    for run in report.suites:
        _print_run(run, console)
    console.print(Text(_LEGEND, style="dim"), soft_wrap=True)


def _print_run(run: SuiteRun, console: Console) -> None:
    title = f"{run.name}: {count(run.rows, 'row')}, digest {digits(run.digest)}"
    console.print(Text(plain(title, console), style="bold"))
    rows = [[one.who, count(one.rows), percent(one.share), _rows(one.missed)] for one in run.examined]
    print_table(figures_table(["who", "asked", "met", "rows missed"], rows, console), console)
    furthest = sorted(run.divergence, key=lambda pair: -pair.distance)
    console.print()
    pairs = [_pair(one) for one in furthest[:_LISTED_PAIRS]]
    print_table(figures_table(_PAIR_COLUMNS, pairs, console), console)
    if len(furthest) > _LISTED_PAIRS:
        more = count(len(furthest) - _LISTED_PAIRS, "nearer pair")
        console.print(Text(f"{more}; for all, type: portfolio suite run --json", style="dim"))
    console.print()


def _pair(one: Divergence) -> list[str | Text]:
    pair = f"{one.first} and {one.second}"
    return [pair, f"{one.distance:.4f}", count(one.shared_labels), percent(one.disagreement)]


def _rows(missed: Sequence[int]) -> str:
    """The first numbers, from 1."""
    if not missed:
        return NOTHING
    more = f" and {count(len(missed) - _LISTED_ROWS)} more" if len(missed) > _LISTED_ROWS else ""
    return ", ".join(str(row + 1) for row in missed[:_LISTED_ROWS]) + more


def _text(row: SuiteText) -> str:
    return row.text if row.pair is None else f"{row.text} / {row.pair}"

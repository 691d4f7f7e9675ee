"""What was tried before an adapter was kept: in plain sentences, and as a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.records import Compared
from portfolio.reports.comparison import comparison_in_words, comparison_table
from portfolio.reports.tables import print_table


def tried(
    choice: str, score: float, p_value: float | None = None, *, kept: bool = False, made_of: str = ""
) -> Compared:
    return Compared(
        choice=choice,
        made_of=made_of or f"{choice} in words",
        score=score,
        parameters=1234,
        seconds=75.0,
        p_value=p_value,
        is_kept=kept,
    )


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (
            [tried("uniform", 0.7, 0.0001), tried("fusion", 0.912, kept=True), tried("best member", 0.88, 0.003)],
            "The fusion (91.2 %) is better than the best single member (88.0 %, p = .003) and kept.",
        ),
        (
            [tried("fusion", 0.881, 0.61), tried("own", 0.883, kept=True), tried("uniform", 0.882, 0.9)],
            "The fusion (88.1 %) is not better than the target's own adapter (88.3 %) by more than chance (p = .61); "
            "the own adapter is kept.",
        ),
        (
            [tried("fusion", 0.7, 0.0004), tried("best member", 0.88, kept=True)],
            "The fusion (70.0 %) is worse than the best single member (88.0 %, p < .001); that member is kept.",
        ),
        (
            [tried("fusion", 0.9, kept=True), tried("uniform", 0.89, 0.3)],
            "The fusion (90.0 %) is not better than the uniform blend (89.0 %) by more than chance (p = .30); "
            "the fusion is kept.",
        ),
        (
            [tried("fusion", 0.9, 0.01), tried("own", 0.8, kept=True)],
            "The fusion (90.0 %) is better than the target's own adapter (80.0 %, p = .010); the own adapter is kept.",
        ),
        (
            [tried("ties", 0.9, kept=True), tried("linear", 0.8, 0.01)],
            "The choice 'ties' (90.0 %) is better than the choice 'linear' (80.0 %, p = .010) and kept.",
        ),
        (
            [tried("fusion", 0.9, kept=True), tried("own", 0.8, None)],
            "The fusion (90.0 %) scores higher than the target's own adapter (80.0 %, not tested); the fusion is kept.",
        ),
        ([tried("fusion", 0.9, kept=True)], "The fusion (90.0 %) was compared with nothing, and is kept."),
        ([], ""),
    ],
)
def test_a_comparison_is_one_sentence_about_the_fusion_and_the_best_of_the_others(
    comparison: list[Compared], said: str
) -> None:
    assert comparison_in_words(comparison) == said


def test_a_score_that_was_not_measured_is_no_rival() -> None:
    comparison = [tried("own", math.nan, 1.0), tried("fusion", 0.9, kept=True), tried("uniform", 0.8, 0.01)]
    assert "better than the uniform blend (80.0 %" in comparison_in_words(comparison)


def test_the_table_says_which_was_kept_and_how_surely(screen: Callable[..., Any]) -> None:
    terminal = screen()
    print_table(
        comparison_table([tried("fusion", 0.9, kept=True), tried("own", 0.8, 0.01)], terminal.console), terminal.console
    )
    header, _, fusion, own = (" ".join(line.split()) for line in terminal.lines())
    assert header == "choice made of validation % parameters time against kept"
    assert fusion == "fusion fusion in words 90.0 1,234 1 min 15 s kept"
    assert own == "own own in words 80.0 1,234 1 min 15 s p = .010"


def test_long_words_are_shown_whole_beside_the_figures(screen: Callable[..., Any]) -> None:
    made_of = "attention over " + ", ".join(f"member-number-{member}@1" for member in range(8))
    terminal = screen(width=80, encoding="ascii")
    table = comparison_table([tried("fusion", 0.9, kept=True, made_of=made_of + " naïve")], terminal.console)
    print_table(table, terminal.console)
    assert max(map(len, terminal.lines())) <= 80
    assert "90.0       1,234  1 min 15 s          kept" in terminal.text()
    shown = "".join(line.split("  ")[1] if line.startswith("fusion") else line.strip() for line in terminal.lines()[2:])
    assert "".join(made_of.split()) in "".join(shown.split())
    assert "na\\xefve" in shown

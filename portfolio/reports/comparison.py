"""What was tried before an adapter was kept: as a table, and in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from portfolio.records import Compared
from portfolio.reports.figures import score
from portfolio.reports.tables import texts_table
from portfolio.reports.wording import chance, count, duration, percent

FUSION = "fusion"  # the choice that was asked for, where it is among them
SIGNIFICANT = 0.05  # a p-value below this is more than chance
_NAMES = {  # of a choice, at first mention and after that
    FUSION: ("the fusion", "the fusion"),
    "own": ("the target's own adapter", "the own adapter"),
    "uniform": ("the uniform blend", "the uniform blend"),
    "on top": ("an own adapter on top of a member", "that stack"),
    "merge": ("the merge", "the merge"),
    "best member": ("the best single member", "that member"),
}


def comparison_table(comparison: Sequence[Compared], console: Console) -> Table:
    """A line a choice; where others have their p-value, the one that was kept says so."""
    rows = [
        [
            choice.choice,
            choice.made_of,
            percent(score(choice.score)),
            count(choice.parameters),
            duration(choice.seconds),
            "kept" if choice.is_kept else chance(score(choice.p_value)),
        ]
        for choice in comparison
    ]
    headers = ["choice", "made of", "validation %", "parameters", "time", "against kept"]
    return texts_table(headers, rows, console, texts=2)


def comparison_in_words(comparison: Sequence[Compared]) -> str:
    """Whether the fusion is better than the best of the others, and which was kept; nothing where nothing was tried.

    Where no fusion was tried, the one that was kept is compared. Better or worse is what McNemar's test finds so at 5 %.
    """
    kept = next((choice for choice in comparison if choice.is_kept), None)
    if kept is None:
        return ""
    asked = next((choice for choice in comparison if choice.choice == FUSION), kept)
    others = [choice for choice in comparison if choice is not asked]
    if not others:
        return f"{_capital(_named(asked))} ({_score(asked)}) was compared with nothing, and is kept."
    other = max(others, key=lambda choice: score(choice.score) or 0.0) if asked is kept else kept
    tested = score(other.p_value if asked is kept else asked.p_value)
    judged = _judged(asked, other, tested)
    if asked is kept and judged.startswith("is better"):
        return f"{_capital(_named(asked))} ({_score(asked)}) {judged} and kept."
    return f"{_capital(_named(asked))} ({_score(asked)}) {judged}; {_named(kept, again=True)} is kept."


def _judged(asked: Compared, other: Compared, tested: float | None) -> str:
    """`is better than the uniform blend (88.0 %, p = .003)`, or worse, or not better by more than chance."""
    against, gain = f"{_named(other)} ({_score(other)}", (score(asked.score) or 0.0) - (score(other.score) or 0.0)
    if tested is None:
        more = "scores higher than" if gain > 0 else "does not score higher than"
        return f"{more} {against}, {chance(None)})"
    if tested < SIGNIFICANT and gain:
        return f"is {'better' if gain > 0 else 'worse'} than {against}, {chance(tested)})"
    return f"is not better than {against}) by more than chance ({chance(tested)})"


def _named(choice: Compared, *, again: bool = False) -> str:
    unknown = f"the choice '{choice.choice}'"
    return _NAMES.get(choice.choice, (unknown, unknown))[again]


def _score(choice: Compared) -> str:
    return f"{percent(score(choice.score))} %"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

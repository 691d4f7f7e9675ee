"""Which column holds the text, the second text of a pair, and the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portfolio.tasks.faults import Faults, listed, shown

NO_PAIR = ""  # as Columns.pair: there is none, do not guess
_TEXT_NAMES = (
    *("text", "sentence", "utterance", "query", "question", "content", "premise", "message", "tweet", "review"),
    *("sentence1", "text1", "question1", "text_a", "sentence_a", "input"),
)
_PAIR_NAMES = (
    *("text_pair", "hypothesis", "sentence2", "text2", "question2", "text_b", "sentence_b"),
    *("sentence_pair", "second_text"),
)
_LABEL_NAMES = ("label", "labels", "intent", "category", "class", "target", "label_name", "gold_label")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the user said about the columns; None where it is to be guessed, `""` as `pair` for none."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


GUESS = Columns()


@dataclass(frozen=True, kw_only=True)
class ChosenColumns:
    """The columns that are read."""

    text: str
    pair: str | None
    label: str | None  # None where labels are not needed
    guessed: tuple[str, ...]  # which of `text`, `pair`, `label`
    unused: tuple[str, ...]  # columns of the table that nobody reads

    def said(self) -> Columns:
        """These columns as if the user had named each."""
        return Columns(text=self.text, pair=self.pair or NO_PAIR, label=self.label)


def choose_columns(found: Sequence[str], said: Columns, faults: Faults, *, with_label: bool = True) -> ChosenColumns:
    """The columns of a table to read: those that were named, the others guessed by their names.

    Raises:
        DataError: a named column is not there, none fits, or several do; with the faults noted before.
    """
    wrong: list[str] = []
    named = {name for name in (said.text, said.pair, said.label) if name}
    free = [name for name in found if name not in named]

    def choose(role: str, column: str | None, names: Sequence[str], needed: bool) -> str | None:
        chosen, fault = _choose(role, column, names, found, free, needed)
        wrong.extend([fault] if fault else [])
        return chosen

    text = choose("text", said.text, _TEXT_NAMES, True)
    pair = None if said.pair == NO_PAIR else choose("pair", said.pair, _PAIR_NAMES, False)
    label = choose("label", said.label, _LABEL_NAMES, True) if with_label else None
    if wrong:
        faults.add(faults.source, f"{'; '.join(wrong)}; its columns are {listed(list(found))}")
        faults.raise_if_any()
    assert text is not None
    roles = {"text": (text, said.text), "pair": (pair, said.pair), "label": (label, said.label)}
    return ChosenColumns(
        text=text,
        pair=pair,
        label=label,
        guessed=tuple(role for role, (column, named_by_user) in roles.items() if column and named_by_user is None),
        unused=tuple(name for name in found if name not in (text, pair, label)),
    )


def _choose(
    role: str, column: str | None, names: Sequence[str], found: Sequence[str], free: Sequence[str], needed: bool
) -> tuple[str | None, str | None]:
    """The column for a role and None, or None and what is wrong."""
    if column is not None:
        return (column, None) if column in found else (None, f"no column {shown(column)} (--{role}-column)")
    fitting = [name for name in free if name.strip().casefold() in names]
    if len(fitting) > 1:
        options = " or ".join(shown(name) for name in fitting)
        return None, f"the {role} could be in {options}: choose with --{role}-column NAME"
    if not fitting and needed:
        expected = ", ".join(names[:6])
        return None, f"no {role} column: expected one of {expected}, …, or name it with --{role}-column NAME"
    return (fitting[0] if fitting else None), None

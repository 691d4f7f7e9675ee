"""What the report's page shows of losses, task by task: changes with their intervals, and which rows went to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from portfolio.reports import metrics
from portfolio.reports.charts import change_strip, scale_of_changes
from portfolio.reports.figures import score
from portfolio.reports.findings import Change, Loss, Texts
from portfolio.reports.page_parts import look_of
from portfolio.reports.report import Results
from portfolio.reports.typeset import lost, ranged, scored, signed

_REASONS = 12  # tasks whose losses are explained
_ROWS_SHOWN, _TEXTS_SHOWN = 24, 10
_LONGEST_TEXT = 240  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """What one task gained or lost."""

    name: str
    rows: int
    before: str
    after: str
    change: str
    look: str
    interval: str
    forgetting: str
    picture: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some test rows, by number, with their texts where these are known; and how many more there are."""

    shown: tuple[tuple[int, str], ...]
    with_texts: bool
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakerRow:
    """A task that took rows, which ones, and what its removal would give back."""

    name: str
    taken: int
    lead: str
    would_return: int
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one task lost."""

    name: str
    change: str
    interval: str
    rows: int
    lost: int
    won: int
    takers: tuple[TakerRow, ...]
    at_home: Rows
    at_home_count: int
    unasked: int
    with_texts: bool


def change_rows(changes: Sequence[Change], results: Results, shown: Iterable[int]) -> list[ChangeRow]:
    """Changes of some tasks, by their numbers, beside what each has forgotten."""
    chosen = [(task, changes[task]) for task in shown]
    matrix = np.array(results.matrix, dtype=np.float64).reshape(len(changes), len(changes))  # None becomes NaN
    forgotten = metrics.forgetting_of_tasks(matrix).tolist()
    scale = scale_of_changes((one.change for _, one in chosen), (one.interval for _, one in chosen))
    return [
        ChangeRow(
            name=f"{task + 1} {one.task}",
            rows=one.rows,
            before=scored(one.before),
            after=scored(one.after),
            change=signed(one.change),
            look=look_of(one.change),
            interval=ranged(one.interval),
            forgetting=lost(score(forgotten[task])),
            picture=change_strip(one.task, one.change, one.interval, scale),
        )
        for task, one in chosen
    ]


def reasons(losses: Sequence[Loss], texts: Texts) -> list[Reason]:
    """The largest losses explained, the largest first."""
    return [_reason(loss, texts.get(loss.task, {})) for loss in largest(losses)]


def largest(losses: Sequence[Loss]) -> list[Loss]:
    """Those that are explained."""
    return sorted(losses, key=lambda loss: loss.change)[:_REASONS]


def _reason(loss: Loss, texts: Mapping[int, str]) -> Reason:
    return Reason(
        name=loss.task,
        change=signed(loss.change),
        interval="" if loss.interval is None else f"95 % interval {ranged(loss.interval)}",
        rows=loss.rows,
        lost=len(loss.lost),
        won=loss.won,
        takers=tuple(
            TakerRow(
                name=taker.task,
                taken=len(taker.rows),
                lead=f"{taker.lead:.2f}",
                would_return=taker.would_return,
                rows=_rows(taker.rows, texts),
            )
            for taker in loss.takers
        ),
        at_home=_rows(loss.at_home, texts),
        at_home_count=len(loss.at_home),
        unasked=loss.unasked,
        with_texts=any(number in texts for number in loss.lost),
    )


def _rows(numbers: Sequence[int], texts: Mapping[int, str]) -> Rows:
    with_texts = any(number in texts for number in numbers)
    shown = numbers[: _TEXTS_SHOWN if with_texts else _ROWS_SHOWN]
    return Rows(
        shown=tuple((number, _cut(texts.get(number, ""))) for number in shown),
        with_texts=with_texts,
        more=len(numbers) - len(shown),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"

"""What a report finds beside the results matrices, as plain data: changes with their intervals, why, and to whom.

Scores are in [0, 1] and differences of scores in [-1, 1]; what was not measured is None. Rows are numbers of a task's
test rows, from 0, in the order of its test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from portfolio.records import Moment

Texts = Mapping[str, Mapping[int, str]]  # of some test rows: task, row, text
NO_TEXTS: Texts = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval: of one portfolio by bootstrap over test rows, of several runs by Student's t."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one task gained or lost from one moment to another; a loss is below 0."""

    task: str
    rows: int  # test rows that were measured both times
    before: float | None
    after: float | None
    change: float | None  # after - before
    interval: Interval | None  # of the change, the same rows before and after; None where rows were not kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A task that took rows which were right before."""

    task: str
    rows: tuple[int, ...]  # right before, wrong now, and sent to it now
    lead: float  # mean of P(taker | x) - P(own task | x) over these rows
    would_return: int  # of these: rows whose second choice is their own task, whose adapter is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Why a task that lost since it was added did so, routed."""

    task: str
    rows: int  # test rows
    change: float  # routed accuracy now - when it was added, below 0
    interval: Interval | None
    lost: tuple[int, ...]  # rows right then and wrong now
    won: int  # rows wrong then and right now
    takers: tuple[Taker, ...]  # most rows first
    at_home: tuple[int, ...]  # of the lost: rows that still go to their own task, whose adapter now says another label
    unasked: int  # of the rows right then: those whose answer is unknown now


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Where the router sends each task's test rows now, forced to choose."""

    tasks: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # (T, T): rows of the task in this row, sent to the task in this column


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a task's adapter gains by those that were there before it: the forward transfer that can be measured here."""

    task: str
    method: str  # `fusion`, `stack`, …
    kept: str  # the choice that was kept
    gain: float  # its validation accuracy less that of an adapter trained for this task alone
    p_value: float | None  # of McNemar's exact test between the two


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Two moments of a portfolio side by side."""

    before: Moment
    after: Moment
    between: tuple[Moment, ...]  # the changes after the first moment, up to the second, oldest first
    oracle: tuple[Change, ...]  # one a task known at both moments
    routed: tuple[Change, ...]
    came: tuple[str, ...]  # tasks known only after
    went: tuple[str, ...]  # tasks known only before
    losses: tuple[Loss, ...]  # of the tasks that lost, routed, from the first moment to the second
    other_rows: tuple[str, ...] = ()  # tasks known at both, but on other test rows: not comparable

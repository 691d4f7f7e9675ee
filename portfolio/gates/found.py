"""What a check finds of one subject, and how it comes to it: a figure held against a bound, a version against the champion.

A figure that is not a finite number was not measured, and blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from portfolio.gates.evidence import Bool
from portfolio.gates.statistics import Bounds, Comparison, compare
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, Figure

LISTED_ROWS = 20  # of those that speak against a version
AT_LEAST, AT_MOST = ">=", "<="

_WORDS = {AT_LEAST: "at least", AT_MOST: "at most"}
_ROUNDING = 1e-12  # 0.6 + 0.3 is a little less than 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A `Finding` whose rule is not named yet."""

    outcome: str
    reason: str
    subject: str = ""
    figures: tuple[Figure, ...] = ()  # first the one that decides
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much worse than the champion a version may be, and how surely it must not be."""

    delta: float
    alpha: float
    least: int


def margin(delta: float | None, alpha: float, least: int) -> Margin | None:
    """None where nothing was said of how much worse."""
    return None if delta is None else Margin(delta=delta, alpha=alpha, least=least)


def percent(value: float) -> str:
    """A share in [0, 1]: `97.5 %`; one that is not 0 and would look like it keeps its digits."""
    return f"{100 * value:.3g} %" if 0 < abs(value) < 0.0005 else f"{100 * value:.1f} %"


def held(
    figure: Figure,
    *,
    said: str,
    subject: str = "",
    written: Callable[[float], str] = percent,
    rows: tuple[int, ...] = (),
) -> Found:
    """Whether a figure keeps within its bound.

    Args:
        figure: with its bound and relation.
        said: what was measured, with the figure: `the accuracy is 97.5 % of 200 examples`.
        written: how the bound is written.
        rows: that speak against the version.
    """
    value, bound = figure.value, figure.bound
    assert value is not None and bound is not None
    if not math.isfinite(value):
        reason = f"expected {figure.name} as a number, got {value}: it could not be measured"
        return Found(outcome=BLOCK, subject=subject, reason=reason, figures=(replace(figure, value=None),))
    is_kept = value >= bound - _ROUNDING if figure.relation == AT_LEAST else value <= bound + _ROUNDING
    reason = f"{said}; {_WORDS[figure.relation]} {written(bound)} is asked for"
    return Found(outcome=PASS if is_kept else BLOCK, subject=subject, reason=reason, figures=(figure,), rows=rows)


def surely_held(figure: Figure, bounds: Bounds, *, said: str) -> Found:
    """The same of a share and its bounds: PASS where all between them keeps within, BLOCK where nothing does."""
    asked = figure.bound
    assert asked is not None
    inside, outside = bounds.low >= asked, bounds.high < asked
    if figure.relation == AT_MOST:
        inside, outside = bounds.high <= asked, bounds.low > asked
    outcome = PASS if inside else BLOCK if outside else INCONCLUSIVE
    few = ": too few examples to tell" if outcome == INCONCLUSIVE else ""
    between = f"between {percent(bounds.low)} and {percent(bounds.high)}"
    reason = f"{said}, {between}; {_WORDS[figure.relation]} {percent(asked)} is asked for{few}"
    ends = (Figure(name="low", value=bounds.low), Figure(name="high", value=bounds.high))
    return Found(outcome=outcome, reason=reason, figures=(figure, *ends))


def right_enough(
    version: Bool,
    other: Bool | None,
    champion: str | None,
    *,
    at_least: float | None,
    within: Margin | None,
    what: str,
    subject: str = "",
    numbers: Sequence[int] = (),
) -> tuple[Found, ...]:
    """Whether enough rows are right, and no fewer than the champion's but for the margin; either may be left out.

    Args: as those of `no_worse`, and
        what: the rows are.
    """
    found = []
    if at_least is not None:
        share = float(version.mean()) if len(version) else math.nan
        figure = Figure(name="share right", value=share, bound=at_least, relation=AT_LEAST)
        said = f"{percent(share)} of {len(version):,} {what} are right"
        found.append(held(figure, said=said, subject=subject, rows=numbers_of(~version, numbers)))
    if within is not None:
        found.append(no_worse(version, other, champion, within, subject=subject, numbers=numbers))
    return tuple(found)


def no_worse(
    version: Bool,
    other: Bool | None,
    champion: str | None,
    within: Margin,
    *,
    subject: str = "",
    numbers: Sequence[int] = (),
) -> Found:
    """A version against the champion, on the same rows; passes where there is no champion.

    Args:
        version, other: (N,), right; `other` is None where the champion did not answer, which blocks.
        numbers: of the rows; by default from 1.
    """
    if champion is None:
        return alone(subject)
    if other is None:
        return unanswered(champion, subject)
    if len(version) == 0:
        return Found(outcome=BLOCK, subject=subject, reason="expected examples to compare on, got none")
    found = compare(version, other, delta=within.delta, alpha=within.alpha, least=within.least)
    figures = (
        Figure(name="loss", value=found.loss, bound=within.delta, relation=AT_MOST),
        Figure(name="low", value=found.bounds.low),
        Figure(name="high", value=found.bounds.high),
        Figure(name="rows", value=found.rows),
        Figure(name="lost", value=found.lost),
        Figure(name="won", value=found.won),
        Figure(name="version", value=float(version.mean())),
        Figure(name="champion", value=float(other.mean())),
        Figure(name="p", value=found.p_value),
    )
    against = numbers_of(other & ~version, numbers)
    return Found(
        outcome=found.outcome, subject=subject, reason=_compared(found, within.delta), figures=figures, rows=against
    )


def alone(subject: str = "") -> Found:
    """What a comparison finds where no other version answers."""
    return Found(outcome=PASS, subject=subject, reason="there is no champion to compare with")


def unanswered(champion: str, subject: str = "") -> Found:
    """What a comparison finds where the champion's answers are missing."""
    reason = f"expected what {champion} answers to the same examples, got nothing"
    return Found(outcome=BLOCK, subject=subject, reason=reason)


def numbers_of(mask: Bool, numbers: Sequence[int] = ()) -> tuple[int, ...]:
    """Those of the first rows that are marked; from 1 where they have none of their own."""
    marked = np.flatnonzero(mask)[:LISTED_ROWS].tolist()
    return tuple(numbers[row] if numbers else row + 1 for row in marked)


def _compared(found: Comparison, delta: float) -> str:
    allowed = percent(delta)
    if found.lost == 0 and found.outcome == PASS:
        unseen = f"; a loss of {percent(found.bounds.high)} could go unseen" if found.bounds.high > delta else ""
        return f"none of {found.rows:,} examples is lost and {found.won:,} are won{unseen}"
    change = f"a loss of {percent(found.loss)}" if found.loss > 0 else f"a gain of {percent(-found.loss)}"
    counted = f"of {found.rows:,} examples {found.lost:,} are lost and {found.won:,} won, {change}"
    if found.outcome == BLOCK:
        return f"{counted}; it is {percent(found.bounds.low)} at least, more than the {allowed} allowed"
    if found.outcome == PASS:
        return f"{counted}; it is {percent(found.bounds.high)} at most, within the {allowed} allowed"
    about = f", about {_rounded(found.needed):,} would tell" if found.needed is not None else ""
    few = f"too few examples to tell from the {allowed} allowed{about}"
    return f"{counted}; the loss may be up to {percent(found.bounds.high)}: {few}"


def _rounded(number: int) -> int:
    """Upwards to two digits: it is an estimate."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // unit) * unit

"""Small pictures for a page, as SVG that stands in its HTML: pure functions from numbers to markup.

Colours are those of the page: strokes and fills are named by classes (`line`, `mean`, `loss`, `gain`, `rule`, `note`).
Whatever is drawn is said in the picture's title and description, for who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from portfolio.reports.findings import Interval
from portfolio.reports.wording import percent, points

_PANEL_WIDTH, _PANEL_HEIGHT = 240, 112
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 36, 8, 18  # room for numbers around the lines
_STRIP_WIDTH, _STRIP_HEIGHT = 180, 24
_STRIP_PAD = 8
_GRID = 0.05  # ends of scales are whole multiples of five points
_LEAST_CHANGE = 0.01  # at either end of a scale of changes, so that a tenth of a point is not made to look large


class Scale(NamedTuple):
    """Of changes, in [-1, 1]."""

    low: float
    high: float


_PANEL = Markup(
    '<svg class="panel" viewBox="0 0 {width} {height}" role="img"><title>{title}</title><desc>{description}</desc>{parts}</svg>'
)
_STRIP = Markup(
    '<svg class="strip" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
    "<title>{title}</title><desc>{description}</desc>{parts}</svg>"
)
_LINE = Markup('<path class="{kind}" d="{path}"/>')
_DOT = Markup('<circle class="{kind}" cx="{x}" cy="{y}" r="{radius}"/>')
_RULE = Markup('<path class="rule" d="M{x1} {y1}L{x2} {y2}"/>')
_NOTE = Markup('<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>')
_WHISKER = Markup('<path class="whisker" d="M{low} {y}H{high}M{low} {top}V{bottom}M{high} {top}V{bottom}"/>')
_BAR = Markup('<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>')


def lowest_of_scale(scores: Iterable[float | None]) -> float:
    """Where a scale of scores up to 1 begins: five points or less below the lowest of them, and 0 or more."""
    measured = [score for score in scores if score is not None]
    lowest = min(measured, default=0.0)
    return max(0.0, min(math.floor(lowest / _GRID + 1e-9) * _GRID, 1 - 2 * _GRID))


def scale_of_changes(changes: Iterable[float | None], intervals: Iterable[Interval | None]) -> Scale:
    """Where a scale of changes begins and ends: at the widest changes or ends of intervals; 0 is always on it."""
    ends = [change for change in changes if change is not None]
    for interval in intervals:
        ends += [] if interval is None else [interval.low, interval.high]
    return Scale(min([-_LEAST_CHANGE, *ends]), max([_LEAST_CHANGE, *ends]))


def score_panel(name: str, scores: Sequence[float | None], mean: Sequence[float | None], lowest: float) -> Markup:
    """One task's score after each step, over the mean of all tasks in grey; the first and last score are written out.

    A step without a score interrupts the line. `scores` and `mean` have one entry a step.
    """
    measured = [(step, score) for step, score in enumerate(scores) if score is not None]
    parts = [*_panel_scale(len(scores), lowest)]
    parts += _line("mean", mean, lowest)
    parts += _line("line", scores, lowest)
    parts += [_dot("dot", step, score, len(scores), lowest) for step, score in _ends(measured)]
    parts += _end_note(measured, len(scores), lowest)
    return _PANEL.format(
        width=_PANEL_WIDTH,
        height=_PANEL_HEIGHT,
        title=f"Score of {name} after each step",
        description=_said(measured),
        parts=Markup("").join(parts),
    )


def change_strip(name: str, change: float | None, interval: Interval | None, scale: Scale) -> Markup:
    """One task's change as a bar from 0, with its 95 % interval as a whisker; losses to the left. Empty if unknown."""
    middle = _STRIP_HEIGHT / 2
    zero = _number(_across(0, scale))
    parts = [
        _RULE.format(x1=zero, y1=-_STRIP_PAD / 2, x2=zero, y2=_STRIP_HEIGHT + _STRIP_PAD / 2)
    ]  # meets the strips around it
    if change is not None:
        start, end = sorted((_across(0, scale), _across(change, scale)))
        kind = "loss" if change < 0 else "gain"
        parts.append(_BAR.format(kind=kind, x=_number(start), y=middle - 4, width=_number(end - start), height=8))
    if interval is not None:
        low, high = _number(_across(interval.low, scale)), _number(_across(interval.high, scale))
        parts.append(_WHISKER.format(low=low, high=high, y=middle, top=middle - 4, bottom=middle + 4))
    if change is not None:
        parts.append(_DOT.format(kind="dot", x=_number(_across(change, scale)), y=middle, radius=2.5))
    within = "" if interval is None else f", 95 % interval {points(interval.low)} to {points(interval.high)}"
    return _STRIP.format(
        width=_STRIP_WIDTH,
        height=_STRIP_HEIGHT,
        title=f"Change of {name}",
        description="not measured" if change is None else f"{points(change)} points{within}",
        parts=Markup("").join(parts),
    )


def _panel_scale(steps: int, lowest: float) -> list[Markup]:
    """Rules at both ends of the scale with their scores, and the numbers of the first and the last step."""
    parts = []
    for score in (1.0, lowest):
        y = _number(_down(score, lowest))
        parts.append(_RULE.format(x1=_LEFT, y1=y, x2=_PANEL_WIDTH - _RIGHT, y2=y))
        parts.append(_note("note", _LEFT - 5, _down(score, lowest) + 3.5, "end", percent(score)))
    below = _PANEL_HEIGHT - 4
    parts.append(_note("note", _along(0, steps), below, "middle", "1"))
    if steps > 1:
        parts.append(_note("note", _along(steps - 1, steps), below, "middle", str(steps)))
    return parts


def _line(kind: str, scores: Sequence[float | None], lowest: float) -> list[Markup]:
    """A path through the scores; a score that stands alone becomes a dot, as a path of one point is not seen."""
    path, parts = "", []
    for step, score in enumerate(scores):
        if score is None:
            continue
        follows = step > 0 and scores[step - 1] is not None
        leads = step + 1 < len(scores) and scores[step + 1] is not None
        if follows or leads:
            place = f"{_number(_along(step, len(scores)))} {_number(_down(score, lowest))}"
            path += f"{'L' if follows else 'M'}{place}"
        else:
            parts.append(_dot(f"{kind}-dot", step, score, len(scores), lowest))
    return [_LINE.format(kind=kind, path=path), *parts] if path else parts


def _said(measured: Sequence[tuple[int, float]]) -> str:
    """First, lowest and last score in words."""
    if not measured:
        return "not measured"
    lowest = min(measured, key=lambda one: one[1])
    told = dict.fromkeys([measured[0], lowest, measured[-1]])
    return ", ".join(f"{percent(score)} % after step {step + 1}" for step, score in sorted(told))


def _ends(measured: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [measured[0], measured[-1]] if len(measured) > 1 else list(measured)


def _end_note(measured: Sequence[tuple[int, float]], steps: int, lowest: float) -> list[Markup]:
    if not measured:
        return [_note("note", _PANEL_WIDTH / 2, _PANEL_HEIGHT / 2, "middle", "not measured")]
    step, score = measured[-1]
    return [_note("value", _along(step, steps) + 6, _down(score, lowest) + 3.5, "start", percent(score))]


def _dot(kind: str, step: int, score: float, steps: int, lowest: float) -> Markup:
    x, y = _number(_along(step, steps)), _number(_down(score, lowest))
    return _DOT.format(kind=kind, x=x, y=y, radius=2.5)


def _note(kind: str, x: float, y: float, anchor: str, text: str) -> Markup:
    return _NOTE.format(kind=kind, x=_number(x), y=_number(y), anchor=anchor, text=text)


def _along(step: int, steps: int) -> float:
    width = _PANEL_WIDTH - _LEFT - _RIGHT
    return _LEFT + width * (step / (steps - 1) if steps > 1 else 0.5)


def _down(score: float, lowest: float) -> float:
    height = _PANEL_HEIGHT - _TOP - _BOTTOM
    return _TOP + height * (1 - score) / (1 - lowest)


def _across(change: float, scale: Scale) -> float:
    width = _STRIP_WIDTH - 2 * _STRIP_PAD
    return _STRIP_PAD + width * (change - scale.low) / (scale.high - scale.low)


def _number(coordinate: float) -> str:
    """With a tenth of a pixel, and no more characters than needed."""
    return f"{coordinate:.1f}".removesuffix(".0")

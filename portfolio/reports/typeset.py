"""How numbers are written where any character can be had: on a page and in a picture, with real minus signs and dashes."""

from __future__ import annotations

import re

from portfolio.reports.findings import Interval
from portfolio.reports.wording import NOTHING, percent, points

UNMEASURED = "–"


def scored(value: float | None) -> str:
    """A score in percent."""
    return percent(value).replace(NOTHING, UNMEASURED)


def signed(value: float | None) -> str:
    """A difference in points, with a minus that is as wide as a plus."""
    return UNMEASURED if value is None else points(value).replace("-", "−")


def lost(value: float | None) -> str:
    """A loss in points: without a sign, unless it is a gain."""
    return signed(value).removeprefix("+")


def ranged_loss(interval: Interval | None) -> str:
    """Both ends of an interval of losses."""
    return UNMEASURED if interval is None else f"{lost(interval.low)} to {lost(interval.high)}"


def typeset(sentence: str) -> str:
    """A sentence with the same minus before its numbers as in the tables, and no line break before `%`."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", sentence).replace(" %", "\u00a0%")


def ranged(interval: Interval | None) -> str:
    """Both ends of an interval of differences."""
    return UNMEASURED if interval is None else f"{signed(interval.low)} to {signed(interval.high)}"

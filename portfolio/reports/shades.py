"""Colours of losses and gains: fixed steps of points, so that a colour means the same in every report.

Losses are orange and gains blue, which the colour-blind tell apart too. A colour never stands alone: the number is beside
it, and readable on it (contrast of 4.5 or more, WCAG 2.2, criterion 1.4.3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType

STEPS = (0.0005, 0.01, 0.03, 0.10)  # of a change, in either direction, from which the next shade begins; 0.01: a point

# shade: background on light, background on dark; 0 is no change
COLOURS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        -4: ("#ec8f3c", "#96570c"),
        -3: ("#f8bb78", "#74480f"),
        -2: ("#fcdcb4", "#523613"),
        -1: ("#fef2e2", "#352819"),
        0: ("#f4f4f2", "#24292e"),
        1: ("#e6f1fa", "#182a3a"),
        2: ("#c2dcf2", "#1a3d5a"),
        3: ("#90c0e6", "#1c507d"),
        4: ("#5ba2d6", "#1f66a3"),
    }
)
INK = ("#1a1a1a", "#f0f0ee")  # text on them, on light and on dark


def shade(change: float) -> int:
    """From -4, a loss of 10 points or more, over 0 to 4, a gain of as many."""
    depth = bisect_right(STEPS, abs(change) + 1e-9)  # a change of exactly 3 points is one in floats too
    return -depth if change < 0 else depth

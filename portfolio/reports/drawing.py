"""Figures of matplotlib that leave the caller's own plots as they are, and labels that its font can show."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 150  # an inch
POINTS = 72  # an inch
FONT = "DejaVu Sans"  # comes with matplotlib
_MARGIN = 0.2  # inches around everything


def new_figure() -> Figure:
    """An empty figure on a canvas of its own.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "expected matplotlib to draw with, but it is not installed; "
            "install it with: pip install 'adapter-portfolio[plot]'"
        ) from error
    figure = Figure(dpi=DOTS, facecolor="white")
    FigureCanvasAgg(figure)  # of this figure alone, and not that of pyplot
    return figure


def png_of(figure: Figure) -> bytes:
    """The figure with all that stands around its axes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS, bbox_inches="tight", pad_inches=_MARGIN)
    return picture.getvalue()


def drawable(longest: int) -> Callable[[str], str]:
    """Makes a label one line of so many characters at most, all of which the font has; others are written as escapes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties(family=FONT))).get_charmap()

    def shown(label: str) -> str:
        line = "".join(
            char if char.isprintable() and ord(char) in known else char.encode("unicode_escape").decode()
            for char in label
        )
        return line if len(line) <= longest else line[: longest - 1] + "…"

    return shown

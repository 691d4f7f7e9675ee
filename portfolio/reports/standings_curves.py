"""Curves of a contest as a picture: average accuracy over the tasks seen so far, after each step, a line a method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError
from portfolio.reports.drawing import FONT, new_figure, png_of
from portfolio.reports.output import write_output
from portfolio.reports.standings import FREE, GIVEN, PORTFOLIO, Standing, Standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 5.2, 4.2  # inches, of one panel
# Okabe and Ito's colours, which the colour-blind tell apart; with the dashes there are 21 looks
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F")
_DASHES = ("-", "--", ":")
_PORTFOLIO_LOOK = ("black", "-")


def draw_curves(standings: Standings, file: Path) -> None:
    """Write a PNG with a panel a reading; means over runs. A joint method, which has the last step alone, is a level line.

    Raises:
        ConfigError: matplotlib is not installed, or there is nothing to draw.
        Unwritable: the file cannot be written; what was there is as it was.
    """
    panels = [(reading, found) for reading, found in ((FREE, standings.free), (GIVEN, standings.given)) if found]
    if not panels:
        raise ConfigError("expected runs to draw, got a contest of which none has ended")
    write_output(file, _png(standings, panels))


def _png(standings: Standings, panels: list[tuple[str, tuple[Standing, ...]]]) -> bytes:
    figure = new_figure()
    figure.set_size_inches(_WIDTH * len(panels), _HEIGHT)
    figure.set_layout_engine("constrained")
    looks = _looks(panels)
    for axes, (reading, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, reading, found, looks)
    _legend(figure)
    figure.suptitle(standings.terms.sequence, family=FONT, fontsize=11, weight="bold", parse_math=False)
    return png_of(figure)


def _looks(panels: list[tuple[str, tuple[Standing, ...]]]) -> dict[str, tuple[str, str]]:
    """Colour and dash of each method, the same in every panel."""
    names = dict.fromkeys(one.method for _, found in panels for one in found if one.method != PORTFOLIO)
    looks = {
        name: (_COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)])
        for number, name in enumerate(names)
    }
    return {**looks, PORTFOLIO: _PORTFOLIO_LOOK}


def _draw_panel(axes: Axes, reading: str, found: tuple[Standing, ...], looks: dict[str, tuple[str, str]]) -> None:
    for standing in found:
        colour, dash = looks[standing.method]
        width = 2.4 if standing.method == PORTFOLIO else 1.4
        measured = [(step, 100 * score) for step, score in enumerate(standing.steps, start=1) if score is not None]
        if len(measured) == 1 and len(standing.steps) > 1:  # joint
            axes.axhline(measured[0][1], color=colour, linestyle=dash, linewidth=width, label=standing.method)
        elif measured:
            steps, scores = zip(*measured, strict=True)
            axes.plot(steps, scores, color=colour, linestyle=dash, linewidth=width, label=standing.method)
    axes.set_title(reading, family=FONT, fontsize=10)
    axes.set_xlabel("tasks learned", family=FONT, fontsize=9)
    axes.set_ylabel("mean accuracy of the tasks so far, %", family=FONT, fontsize=9)
    axes.set_xticks(range(1, len(found[0].steps) + 1))
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure) -> None:
    """One for all panels, to the right of them."""
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(lines.values(), [str(name) for name in lines], loc="outside right center", fontsize=8, frameon=False)

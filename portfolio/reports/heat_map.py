"""How much a fusion attends to each of its members, as a picture: blocks at the left, labels at the right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from portfolio.records import Attention
from portfolio.reports.attention import Shares, label_shares, most_telling
from portfolio.reports.drawing import DOTS, FONT, POINTS, drawable, new_figure, png_of
from portfolio.reports.output import write_output
from portfolio.reports.wording import count, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWN_LABELS = 40
_LONGEST_LABEL = 40  # characters; of members nothing is cut
_CELL_WIDTH, _CELL_HEIGHT = 0.46, 0.27  # inches; a number of three digits fits
_GAP, _PAD = 0.4, 0.08  # inches, between panels, and between a panel and its names
_TITLE, _TEXT, _NUMBER = 11, 9, 8  # points
_SLANT = 45  # degrees, of members' names
_COLOURS = "viridis"  # perceptually even, also in grey and for the colour-blind
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue; ITU-R BT.601
_DARK = 0.5  # of a colour's luminance; on what is below, numbers are white


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Panel:
    """One of the pictures that stand side by side."""

    what: str  # a row is
    rows: tuple[str, ...]
    shares: Shares  # (rows, members)


def draw_attention(attention: Attention, file: Path) -> None:
    """Write a PNG: mean weights as (blocks, members), and means over blocks as (labels, members), in %.

    Of more than 40 labels, those that differ most from the mean are drawn. Labels stand together by the member that they
    attend to most.

    Raises:
        ConfigError: matplotlib is not installed.
        Unwritable: the file cannot be written; what was there is as it was.
    """
    figure = new_figure()
    _draw(_panels(attention, drawable(_LONGEST_LABEL)), attention, figure)
    write_output(file, png_of(figure))


def _panels(attention: Attention, shown: Callable[[str], str]) -> list[_Panel]:
    blocks = tuple(map(str, attention.blocks))
    panels = [_Panel(what="block", rows=blocks, shares=np.array(attention.mean, dtype=np.float64))]
    if attention.labels:
        shares = label_shares(attention)
        telling = most_telling(attention, _DRAWN_LABELS)
        drawn = sorted(telling, key=lambda label: (int(shares[label].argmax()), -float(shares[label].max())))
        labels = tuple(shown(attention.labels[label]) for label in drawn)
        panels.append(_Panel(what="label", rows=labels, shares=shares[drawn]))
    return panels


def _longest(names: Sequence[str], figure: Figure) -> float:
    """How wide the widest of these names will be, in inches."""
    widest = 0.0
    for name in names:
        text = figure.text(0, 0, name, family=FONT, size=_TEXT, parse_math=False)
        widest = max(widest, text.get_window_extent().width / DOTS)
        text.remove()
    return widest


def _draw(panels: Sequence[_Panel], attention: Attention, figure: Figure) -> None:
    """Lay the panels side by side from the top of the figure; names and title stand around it, and are saved with it."""
    width = len(attention.members) * _CELL_WIDTH
    rights = np.cumsum([_longest([panel.what, *panel.rows], figure) + _PAD + width for panel in panels])
    rights += _GAP * np.arange(len(panels))
    across, down = float(rights[-1]), _CELL_HEIGHT * max(len(panel.rows) for panel in panels)
    figure.set_size_inches(across, down)
    strongest = max(float(panel.shares.max()) for panel in panels)
    for panel, right in zip(panels, rights.tolist(), strict=True):
        height = _CELL_HEIGHT * len(panel.rows)
        place = ((right - width) / across, 1 - height / down, width / across, height / down)
        _draw_panel(panel, attention.members, strongest, figure.add_axes(place))
    above = _longest(attention.members, figure) * math.sin(math.radians(_SLANT)) + 5 * _PAD
    head, *more = _title(attention)
    over = (down + above) / down
    figure.text(0, over, "\n".join(more), family=FONT, size=_TEXT, va="bottom", color="dimgrey")
    over += len(more) * 1.4 * _TEXT / POINTS / down
    figure.text(0, over, head, family=FONT, size=_TITLE, va="bottom", weight="bold")


def _draw_panel(panel: _Panel, members: Sequence[str], strongest: float, axes: Axes) -> None:
    mesh = axes.pcolormesh(panel.shares, vmin=0, vmax=strongest, cmap=_COLOURS, edgecolors="white", linewidth=1)
    axes.invert_yaxis()
    axes.set_frame_on(False)
    axes.tick_params(length=0, pad=_PAD * POINTS / 2, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.set_yticks(np.arange(len(panel.rows)) + 0.5, panel.rows)
    axes.set_xticks(np.arange(len(members)) + 0.5, members, rotation=_SLANT, rotation_mode="anchor", ha="left")
    for name in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        name.set_fontfamily(FONT)
        name.set_fontsize(_TEXT)
        name.set_parse_math(False)  # a label may hold dollar signs
    axes.annotate(
        panel.what,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(-_PAD * POINTS / 2, _PAD * POINTS / 2),
        textcoords="offset points",
        ha="right",
        family=FONT,
        size=_TEXT,
        weight="bold",
    )
    luminances = np.asarray(mesh.to_rgba(panel.shares))[..., :3] @ _LUMINANCE  # (rows, members)
    for (row, member), value in np.ndenumerate(panel.shares):
        colour = "white" if luminances[row, member] < _DARK else "black"
        centre = (member + 0.5, row + 0.5)
        axes.text(
            *centre, share(float(value)), family=FONT, size=_NUMBER, ha="center", va="center_baseline", color=colour
        )


def _title(attention: Attention) -> list[str]:
    head = "Attention to each member in %"
    rows = f"means over {count(attention.rows, 'validation row')}"
    if not attention.labels:
        return [head, rows]
    lines = [head, f"{rows}; of labels: over all blocks"]
    if len(attention.labels) > _DRAWN_LABELS:
        lines.append(f"the {_DRAWN_LABELS} of {len(attention.labels):,} labels that differ most from the mean")
    return lines

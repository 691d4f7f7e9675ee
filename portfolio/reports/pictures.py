"""The report as pictures: PNG files to put into a document or a slide, in the colours of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portfolio.errors import Unwritable
from portfolio.reports.charts import lowest_of_scale
from portfolio.reports.drawing import FONT, drawable, new_figure, png_of
from portfolio.reports.findings import Change, Confusion
from portfolio.reports.output import write_output
from portfolio.reports.report import Report, Results
from portfolio.reports.shades import COLOURS, INK, shade
from portfolio.reports.typeset import UNMEASURED, scored, signed
from portfolio.reports.worst import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS, _PANELS_IN_ROW = 15, 4
_NAMED_TASKS = 40  # of more, cells are too small for numbers and names
_ONE_DECIMAL_TASKS = 15
_CELL_WIDTH, _SMALL_CELL_WIDTH, _CELL_HEIGHT = 0.46, 0.3, 0.27  # inches
_WIDEST = 12.0  # inches, of cells without numbers
_BAR_WIDTH, _BAR_HEIGHT = 5.0, 0.26
_PANEL_WIDTH, _PANEL_HEIGHT, _PANEL_GAP = 2.1, 1.0, 0.75
_LONGEST_NAME, _LONGEST_PANEL_NAME = 40, 30  # characters
_TITLE, _TEXT, _NUMBER = 11, 9, 8  # points
_ACCENT, _MEAN, _RULE, _QUIET, _LOSS, _GAIN = "#0b5a9e", "#9a9a96", "#d9d9d6", "#595959", "#cf8b50", "#6fa3ca"
_WHITE = "#ffffff"
_FIGURES = 100  # per cent, and points, of a score of 1


def draw_pictures(report: Report, directory: Path) -> list[Path]:
    """Write five PNGs, and say where; what could not be measured is a picture that says so.

    Raises:
        ConfigError: matplotlib is not installed; then nothing is written.
        Unwritable: the directory cannot be made, or a file cannot be written.
    """
    pictures: dict[str, Callable[[Figure], None]] = {
        "results-oracle.png": lambda figure: _draw_results(
            report, report.oracle, "Oracle: the true task given", figure
        ),
        "results-routed.png": lambda figure: _draw_results(report, report.routed, "Routed: the router chooses", figure),
        "scores-over-time.png": lambda figure: _draw_scores(report, figure),
        "changes.png": lambda figure: _draw_changes(report, figure),
        "confusion.png": lambda figure: _draw_confusion(report.confusion, figure),
    }
    drawn = {name: _png(draw) for name, draw in pictures.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"{directory} cannot be made: {error.strerror or error}; name another directory") from error
    for name, picture in drawn.items():
        write_output(directory / name, picture)
    return [directory / name for name in drawn]


def _png(draw: Callable[[Figure], None]) -> bytes:
    figure = new_figure()
    draw(figure)
    return png_of(figure)


def _draw_results(report: Report, results: Results, title: str, figure: Figure) -> None:
    """One cell a score, coloured by its change since the task was added."""
    if not report.tasks:
        return _say("no task yet", figure)
    added, is_small = results.added(), len(report.tasks) > _ONE_DECIMAL_TASKS
    cells = [[_score_cell(score, added[task], is_small) for task, score in enumerate(row)] for row in results.matrix]
    for step, row in enumerate(cells):
        row[step + 1 :] = [("" if text == UNMEASURED else text, colour) for text, colour in row[step + 1 :]]
    about = "score in % on a task (column) after each step (row); orange: lost since it was added, blue: gained"
    _say_above(_draw_cells(report.tasks, cells, figure), title, about)


def _score_cell(score: float | None, added: float | None, is_small: bool) -> tuple[str, str]:
    if score is None:
        return UNMEASURED, _WHITE
    text = f"{_FIGURES * score:.0f}" if is_small else scored(score)
    return text, _WHITE if added is None else COLOURS[shade(score - added)][0]


def _draw_confusion(confusion: Confusion | None, figure: Figure) -> None:
    """One cell a count, coloured away from home by its share of the task's rows."""
    if confusion is None:
        return _say("where single test rows go was not kept", figure)
    cells, is_small = [], len(confusion.tasks) <= _ONE_DECIMAL_TASKS
    for task, counts in enumerate(confusion.counts):
        rows = max(sum(counts), 1)
        away = [
            COLOURS[shade(-sent / rows)][0] if sent and to != task else COLOURS[0][0] for to, sent in enumerate(counts)
        ]
        cells.append([(str(sent) if sent or is_small else "", away[to]) for to, sent in enumerate(counts)])
    about = "rows of a task (row) sent to a task (column), forced to choose"
    _say_above(_draw_cells(confusion.tasks, cells, figure), "Where the router sends test rows", about)


def _draw_cells(tasks: Sequence[str], cells: Sequence[Sequence[tuple[str, str]]], figure: Figure) -> Axes:
    """A heat map of texts on colours; names at the left, numbers of tasks above. Of very many tasks, colours alone."""
    from matplotlib.colors import to_rgb

    count = len(tasks)
    is_named = count <= _NAMED_TASKS
    width = count * (_CELL_WIDTH if count <= _ONE_DECIMAL_TASKS else _SMALL_CELL_WIDTH)
    figure.set_size_inches(*((width, count * _CELL_HEIGHT) if is_named else (_WIDEST, _WIDEST)))
    axes = _bare_axes(figure, (0, 0, 1, 1))
    red_green_blue = {colour: to_rgb(colour) for row in cells for colour in {colour for _, colour in row}}
    colours = np.array([[red_green_blue[colour] for _, colour in row] for row in cells])  # (tasks, tasks, 3)
    axes.imshow(colours, aspect="auto", interpolation="nearest", extent=(0.5, count + 0.5, count + 0.5, 0.5))
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    if not is_named:
        _set_font([*axes.get_xticklabels(), *axes.get_yticklabels()])
        return axes
    shown = drawable(_LONGEST_NAME)
    axes.set_xticks(range(1, count + 1))
    axes.set_yticks(range(1, count + 1), [f"{task} {shown(name)}" for task, name in enumerate(tasks, start=1)])
    _set_font([*axes.get_xticklabels(), *axes.get_yticklabels()])
    for place in range(1, count):
        axes.axhline(place + 0.5, color=_WHITE, linewidth=1)
        axes.axvline(place + 0.5, color=_WHITE, linewidth=1)
    for row, line in enumerate(cells, start=1):
        for column, (text, _) in enumerate(line, start=1):
            if text:
                number = axes.text(
                    column, row, text, family=FONT, size=_NUMBER, ha="center", va="center_baseline", color=INK[0]
                )
                number.set_in_layout(False)  # it is within its cell; saves looking where the picture ends
    return axes


def _draw_scores(report: Report, figure: Figure) -> None:
    """One panel a task over the mean of all in grey, all on one scale; of very many tasks, those that lost most."""
    if not report.tasks:
        return _say("no task yet", figure)
    tasks, steps = listed(report, _MOST_PANELS, _MOST_PANELS), report.routed.steps
    columns = [tuple(row[task] for row in report.routed.matrix) for task in tasks]
    lowest = lowest_of_scale([*steps, *(score for column in columns for score in column)])
    shown = drawable(_LONGEST_PANEL_NAME)
    panels = [("mean of tasks so far", steps)]
    panels += [(shown(f"{task + 1} {report.tasks[task]}"), column) for task, column in zip(tasks, columns, strict=True)]
    across, down = min(len(panels), _PANELS_IN_ROW), -(-len(panels) // _PANELS_IN_ROW)
    width = across * _PANEL_WIDTH + (across - 1) * _PANEL_GAP
    height = down * _PANEL_HEIGHT + (down - 1) * _PANEL_GAP
    figure.set_size_inches(width, height)
    for place, (name, scores) in enumerate(panels):
        left = (place % _PANELS_IN_ROW) * (_PANEL_WIDTH + _PANEL_GAP)
        top = (place // _PANELS_IN_ROW) * (_PANEL_HEIGHT + _PANEL_GAP)
        box = (left / width, 1 - (top + _PANEL_HEIGHT) / height, _PANEL_WIDTH / width, _PANEL_HEIGHT / height)
        _draw_panel(name, scores, steps, lowest, _bare_axes(figure, box))
    above = "Routed score in % after each step; grey: the mean over the tasks known by then"
    figure.text(0, 1 + _PANEL_GAP / 2 / height, above, family=FONT, size=_TITLE, va="bottom", weight="bold")


def _draw_panel(
    name: str, scores: Sequence[float | None], mean: Sequence[float | None], lowest: float, axes: Axes
) -> None:
    count = len(scores)
    axes.set_xlim(1, max(count, 2))
    axes.set_ylim(_FIGURES * lowest, _FIGURES)
    axes.set_xticks([1, count] if count > 1 else [1])
    axes.set_yticks([_FIGURES * lowest, _FIGURES])
    axes.yaxis.grid(True, color=_RULE, linewidth=0.8)
    axes.tick_params(length=0, labelcolor=_QUIET)
    _set_font([*axes.get_xticklabels(), *axes.get_yticklabels()], size=_NUMBER)
    steps = range(1, count + 1)
    axes.plot(steps, _percents(mean), color=_MEAN, linewidth=1, clip_on=False)
    axes.plot(steps, _percents(scores), color=_ACCENT, linewidth=1.8, clip_on=False, marker=".", markersize=4)
    axes.set_title(name, loc="left", family=FONT, size=_TEXT, parse_math=False)
    measured = [(step, score) for step, score in zip(steps, scores, strict=True) if score is not None]
    if measured:
        step, score = measured[-1]
        axes.annotate(
            scored(score),
            (step, _FIGURES * score),
            xytext=(5, 0),
            textcoords="offset points",
            annotation_clip=False,
            va="center",
            family=FONT,
            size=_NUMBER,
            weight="bold",
        )


def _draw_changes(report: Report, figure: Figure) -> None:
    """A bar a task from 0, with its 95 % interval as a whisker; of very many tasks, those that lost most."""
    tasks = listed(report, _NAMED_TASKS, _NAMED_TASKS)
    if not any(report.changes[task].change is not None for task in tasks):
        return _say("no task was measured both when it was added and now", figure)
    figure.set_size_inches(_BAR_WIDTH, _BAR_HEIGHT * (len(tasks) + 1))
    axes = _bare_axes(figure, (0, 0, 1, 1))
    shown = drawable(_LONGEST_NAME)
    axes.set_yticks(range(len(tasks)), [f"{task + 1} {shown(report.tasks[task])}" for task in tasks])
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.axvline(0, color=_MEAN, linewidth=1)
    for row, task in enumerate(tasks):
        _draw_change(report.changes[task], row, axes)
    axes.margins(x=0.08)
    axes.tick_params(length=0)
    axes.xaxis.grid(True, color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    _set_font([*axes.get_xticklabels(), *axes.get_yticklabels()])
    _say_above(axes, "Change since each task was added, routed", "in points, with 95 % intervals")


def _draw_change(change: Change, row: int, axes: Axes) -> None:
    ends = [0.0]
    if change.change is not None:
        points = _FIGURES * change.change
        axes.barh(row, points, height=0.45, color=_LOSS if points < 0 else _GAIN)
        ends.append(points)
    if change.interval is not None:
        low, high = _FIGURES * change.interval.low, _FIGURES * change.interval.high
        axes.plot([low, high], [row, row], color=INK[0], linewidth=1, marker="|", markersize=6)
        ends.append(high)
    axes.annotate(
        signed(change.change),
        (max(ends), row),
        xytext=(7, 0),
        textcoords="offset points",
        va="center_baseline",
        family=FONT,
        size=_NUMBER,
        color=_QUIET,
    )


def _bare_axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    axes = figure.add_axes(box)
    axes.set_frame_on(False)
    return axes


def _percents(scores: Iterable[float | None]) -> list[float]:
    """NaN interrupts a line."""
    return [float("nan") if score is None else _FIGURES * score for score in scores]


def _set_font(labels: Sequence[Any], size: int = _TEXT) -> None:
    for label in labels:
        label.set_fontfamily(FONT)
        label.set_fontsize(size)
        label.set_parse_math(False)  # a name may hold dollar signs


def _say_above(axes: Axes, title: str, about: str) -> None:
    for text, height, size, colour in ((about, 24, _TEXT, _QUIET), (title, 40, _TITLE, INK[0])):
        axes.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, height),
            textcoords="offset points",
            family=FONT,
            size=size,
            color=colour,
            weight="bold" if size == _TITLE else "normal",
        )


def _say(words: str, figure: Figure) -> None:
    """A picture of words alone."""
    figure.set_size_inches(4, 0.5)
    figure.text(0.5, 0.5, words, family=FONT, size=_TEXT, ha="center", va="center", color=_QUIET)

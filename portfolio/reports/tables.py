"""Tables that fit the terminal, framed by nothing but a line under the header.

Names give way to figures. A figure is never cut, as a cut figure is a wrong one: where a terminal is too narrow even
so, the table runs over its edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from portfolio.reports.wording import plain

_ASCII_RULE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_WIDEST_NAME = 32
_NARROWEST_NAME = 8


def bare_table(console: Console, *, gap: int = 2) -> Table:
    """An empty table with `gap` blanks, 1 or more, between its columns."""
    return Table(
        box=_ASCII_RULE if console.options.ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
        header_style="bold",
    )


def figures_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    console: Console,
    *,
    left: int = 1,
    gap: int = 2,
    endings: Sequence[str] = (),
) -> RenderableType:
    """A table of a name and figures a row; names are cut to the room that the figures leave.

    Args:
        headers: of one line or more.
        rows: one line of text each, as many cells as there are headers.
        left: how many columns, from the first, are set to the left; the others are set to the right.
        endings: of each row what stands behind its name, and is never cut.
    """
    above, ends = [header.split("\n") for header in headers], endings or [""] * len(rows)
    widths = [max(map(cell_len, (*lines, *(str(row[column]) for row in rows)))) for column, lines in enumerate(above)]
    widths[0] = max([widths[0], *(cell_len(f"{row[0]}{end}") for row, end in zip(rows, ends, strict=True))])
    narrowest = _NARROWEST_NAME + max(map(cell_len, ends), default=0)
    taken = sum(gap + width for width in widths[1:])
    widths[0] = min(widths[0], max(min(console.width - taken, _WIDEST_NAME), narrowest))
    titles = [
        [Text(lines[number] if number < len(lines) else "", style="bold") for lines in above]
        for number in range(max(map(len, above)))
    ]
    rule = ("-" if console.options.ascii_only else "─") * (widths[0] + taken)
    body = [
        [_clip(name, widths[0] - len(end), console) + end, *figures]
        for (name, *figures), end in zip(rows, ends, strict=True)
    ]
    return _Lines(
        [
            *(_line(cells, widths, left, gap) for cells in titles),
            rule,
            *(_line(cells, widths, left, gap) for cells in body),
        ]
    )


class _Lines:
    """Lines as they are; of a thousand rows much quicker to write than a table that measures each cell."""

    def __init__(self, lines: Sequence[str | Text]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in self._lines:
            if isinstance(line, Text):
                yield from line.render(console, end="\n")
            else:
                yield Segment(f"{line}\n")


def _line(cells: Sequence[str | Text], widths: Sequence[int], left: int, gap: int) -> str | Text:
    """One line of a table; plain where no cell has a style."""
    pieces: list[str | Text] = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        room = " " * (width - cell_len(str(cell)))
        pieces += [" " * gap if column else "", *((cell, room) if column < left else (room, cell))]
    if any(isinstance(piece, Text) for piece in pieces):
        return Text.assemble(*pieces)
    return "".join(map(str, pieces))


def texts_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], console: Console, *, texts: int, gap: int = 2
) -> Table:
    """A table whose first columns hold texts, over as many lines as it takes, and whose others hold figures.

    Args:
        rows: as many cells as there are headers.
        texts: how many columns, from the first, hold texts.
    """
    shown = [[plain(cell, console) for cell in row] for row in rows]
    widths = [_width(header, [row[column] for row in shown]) for column, header in enumerate(headers)]
    narrowest = sum(min(width, _NARROWEST_NAME) for width in widths[:texts]) + sum(widths[texts:]) + gap * len(widths)
    table = bare_table(console, gap=gap)
    table.width = None if console.width >= narrowest else narrowest
    for column, header in enumerate(headers):
        if column < texts:
            table.add_column(header, overflow="fold", min_width=min(widths[column], _NARROWEST_NAME))
        else:
            table.add_column(header, justify="right", no_wrap=True, min_width=widths[column])
    for row in shown:
        table.add_row(*map(Text, row))
    return table


def fields_table(fields: Sequence[tuple[str, str]], console: Console) -> Table:
    """Names to the left, what they hold to the right, over as many lines as it takes."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for field, value in fields:
        grid.add_row(field, Text(plain(value, console)))
    return grid


def print_table(table: RenderableType, console: Console) -> None:
    """Write the table whole, over the edge of the terminal if need be."""
    console.print(table, crop=False)


def _width(header: str, cells: Sequence[str | Text]) -> int:
    return max(len(line) for line in (*header.splitlines(), *(str(cell) for cell in cells), ""))


def _clip(name: str | Text, width: int, console: Console) -> str | Text:
    if cell_len(str(name)) <= width:
        return name
    mark = "~" if console.options.ascii_only else "…"
    if isinstance(name, str):
        return set_cell_size(name, width - 1) + mark
    text = name.copy()
    text.truncate(width - 1, overflow="crop")
    return text.append(mark)

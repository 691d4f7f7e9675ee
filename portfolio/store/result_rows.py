"""Results to rows and back: one row a step, its cells packed side by side.

A portfolio of a thousand tasks has half a million cells. As rows of their own they took seconds to read; packed, some
hundredths of a second. A task is known by its position, which no other task has while its cells are there; how the
numbers lie is written down where the table is made, in schema.py.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from portfolio.cells import SCORES, Cells, Line
from portfolio.records import Cell
from portfolio.store.rows import decoded, fields_of, insert, require_intact
from portfolio.store.schema import knows_results


def put_cells(db: sqlite3.Connection, cells: Iterable[Cell]) -> None:
    """Write cells of tasks that are there, each wholly in the place of an earlier one of the same step and task."""
    names = _names(db)
    position = {name: number for number, name in names.items()}
    steps: dict[str, dict[int, Cell]] = {}
    for cell in cells:
        steps.setdefault(cell.step, {})[position[cell.task]] = cell
    for step, new in steps.items():
        row = db.execute("SELECT * FROM result WHERE step = ?", (step,)).fetchone()
        _write(db, step, Line.of({**({} if row is None else _kept(row, names)), **new}))


def delete_results(db: sqlite3.Connection, task: str) -> None:
    """Remove the row and the column of a task that is still there."""
    names = _names(db)
    db.execute("DELETE FROM result WHERE step = ?", (task,))
    for row in db.execute("SELECT * FROM result").fetchall():
        cells = _kept(row, names)
        staying = {position: cell for position, cell in cells.items() if cell.task != task}
        if len(staying) < len(cells):
            _write(db, row["step"], Line.of(staying))


def read_cells(db: sqlite3.Connection, *, history: bool = True) -> Cells:
    """All cells, row by row of the results matrix; without history those of the last task's row."""
    names = _names(db)
    last = next(reversed(names.values()), "")
    some, values = ("", ()) if history else ("WHERE step = ? ", (last,))
    if not knows_results(db):
        return _read_earlier(db, names, some, values)
    position = {name: number for number, name in names.items()}
    rows = db.execute(f"SELECT result.* FROM result JOIN task ON task.name = step {some}ORDER BY task.position", values)
    there = array("i", names)
    return Cells(names, {position[row["step"]]: decoded("result", row, lambda row: _line(row, there)) for row in rows})


def _read_earlier(db: sqlite3.Connection, names: Mapping[int, str], some: str, values: tuple[str, ...]) -> Cells:
    """Of an older schema, where each cell was a row."""
    rows = db.execute(
        "SELECT cell.* FROM cell JOIN task AS s ON s.name = cell.step JOIN task AS t ON t.name = cell.task "
        f"{some}ORDER BY s.position, t.position",
        values,
    )
    position = {name: number for number, name in names.items()}
    steps: dict[int, dict[int, Cell]] = {}
    for row in rows:
        cell = decoded("cell", row, lambda row: Cell(**fields_of(Cell, row)))
        steps.setdefault(position[cell.step], {})[position[cell.task]] = cell
    return Cells(names, {step: Line.of(cells) for step, cells in steps.items()})


def _names(db: sqlite3.Connection) -> dict[int, str]:
    """The names of all tasks by their position, in order."""
    return {row["position"]: row["name"] for row in db.execute("SELECT position, name FROM task ORDER BY position")}


# One row


def _write(db: sqlite3.Connection, step: str, line: Line) -> None:
    db.execute("DELETE FROM result WHERE step = ?", (step,))
    insert(
        db,
        "result",
        {"step": step, "tasks": _packed(line.tasks), "rows": _packed(line.rows), "scores": _packed(line.scores)},
    )


def _kept(row: sqlite3.Row, names: Mapping[int, str]) -> dict[int, Cell]:
    """The cells of a row that is to be changed, by the position of their task."""
    require_intact("result", row)
    return decoded("result", row, lambda row: _line(row, array("i", names)).cells(row["step"], names))


def _line(row: sqlite3.Row, there: array[int]) -> Line:
    """The cells of one row; ValueError or TypeError if it holds none, or cells of tasks that are not there.

    Args:
        there: the positions of all tasks, growing.
    """
    tasks, rows, scores = _unpacked("i", row["tasks"]), _unpacked("i", row["rows"]), _unpacked("d", row["scores"])
    missing = len(SCORES) * len(tasks) - len(scores)  # of scores that were not known when it was written
    is_known = tasks == there[: len(tasks)] or set(there) >= set(tasks)  # the first is so for most, and quick
    if len(rows) != len(tasks) or missing < 0 or missing % max(1, len(tasks)) or not is_known:
        raise ValueError(f"{len(tasks)} tasks, {len(rows)} counts of rows, {len(scores)} scores do not fit the tasks")
    scores.extend(array("d", [math.nan]) * missing)
    return Line(tasks=tasks, rows=rows, scores=scores)


def _packed(numbers: array[Any]) -> bytes:
    """Little-endian on every machine."""
    written = numbers[:]
    if sys.byteorder == "big":
        written.byteswap()
    return written.tobytes()


def _unpacked(kind: str, data: bytes) -> array[Any]:
    numbers: array[Any] = array(kind)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
